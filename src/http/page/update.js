// Replaces what is shown by what the daemon says now. Without it there is the link that reloads.
const every = 5000;

const main = () => document.querySelector("main");
// Nothing is taken from under the hands of somebody who types, decides, or is about to press a button.
let moved = -Infinity;
addEventListener("pointermove", () => (moved = performance.now()), { passive: true });
const typing = "main input:not([type=hidden]):focus, main details form :focus";
const busy = () =>
  document.querySelector(typing) != null ||
  (performance.now() - moved < every && document.querySelector(".rows button:hover") != null);
const path = (element) => {
  // The way from main to an element without an id, so that it is found again in a fresh main.
  const steps = [];
  for (let at = element; at && at !== main(); at = at.parentElement) {
    if (at.id) return [at.id, steps];
    steps.unshift([...at.parentElement.children].indexOf(at));
  }
  return ["main", steps];
};
const find = ([id, steps]) =>
  steps.reduce((at, step) => at?.children[step], document.getElementById(id));

function replace(fresh) {
  const had = main().contains(document.activeElement) ? path(document.activeElement) : null;
  const open = [...main().querySelectorAll("details[open][id]")].map((details) => details.id);
  const scrolled = [...main().querySelectorAll(".text, .bubbles")]
    .filter((element) => element.scrollTop > 0)
    .map((element) => [path(element), element.scrollTop]);
  const at = [window.scrollX, window.scrollY];
  main().replaceWith(fresh);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [place, top] of scrolled) {
    const element = find(place);
    if (element) element.scrollTop = top;
  }
  if (had) find(had)?.focus({ preventScroll: true });
  window.scrollTo(...at);
}

function lost() {
  const [sign, told] = [document.querySelector(".verdict h1"), document.querySelector(".verdict p, footer p")];
  if (sign) {
    sign.textContent = "No answer";
    sign.parentElement.className = "verdict down";
  }
  told.textContent = "The daemon does not answer. What stands here is the last that it said.";
  document.title = "No answer - nudged";
}

let asking = false;
async function update() {
  if (asking || busy() || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(location.pathname + location.search, {
      cache: "no-store",
      headers: { "X-Nudged-Update": "1" },
    });
    const text = await answer.text();
    if (answer.status >= 500) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (!busy()) {
      replace(document.adoptNode(fresh.querySelector("main")));
      // Who is signed in stands above main.
      const [old, now] = [document, fresh].map((page) => page.querySelector("header"));
      if (old.textContent !== now.textContent) old.replaceWith(document.adoptNode(now));
      document.title = fresh.title;
    }
  } catch {
    lost();
  } finally {
    asking = false;
  }
}
setInterval(update, every);
document.addEventListener("visibilitychange", update);
