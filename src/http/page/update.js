// Replaces what is shown by what the daemon says now. Without it the page reloads itself.
const every = 5000;
async function update() {
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.title = fresh.title;
  } catch {
    const verdict = document.querySelector(".verdict");
    verdict.className = "verdict down";
    verdict.querySelector("h1").textContent = "No answer";
    verdict.querySelector("p").textContent = "The daemon does not answer. What stands below is the last that it said.";
    document.title = "No answer - nudged";
  }
  setTimeout(update, every);
}
setTimeout(update, every);
