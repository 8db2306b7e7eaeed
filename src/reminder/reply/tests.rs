//! Replies as people write them: the labelled set, phrasings of our own, and any text at all.

use proptest::prelude::*;

use super::{Language, Verdict, classify};
use super::{lexicon, words};

/// The labelled replies: id, country, language, context, date, text, intent, stop and what others read.
const LABELLED: &str = include_str!("../../../tests/vectors/replies-dev.tsv");

struct Labelled {
    id: &'static str,
    text: String,
    stop: bool,
    opt_in: bool,
}

fn labelled() -> Vec<Labelled> {
    let row = |line: &'static str| {
        let columns: Vec<&str> = line.split('\t').collect();
        Labelled {
            id: columns[0],
            text: columns[5].replace("\\n", "\n"),
            stop: columns[7] == "yes",
            opt_in: columns[6] == "opt_in",
        }
    };
    LABELLED.lines().map(row).collect()
}

fn is_stop(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::OptOut { .. })
}

#[test]
fn labelled_stops_are_stopped_or_held_and_nothing_else_is_stopped() {
    let rows = labelled();
    assert_eq!(rows.len(), 150);
    let of = |row: &Labelled| classify(&row.text, None);
    let (stops, others): (Vec<&Labelled>, Vec<&Labelled>) = rows.iter().partition(|row| row.stop);
    let unsafe_rows: Vec<_> =
        stops.iter().filter(|row| of(row) == Verdict::Other).map(|row| (row.id, &row.text)).collect();
    let stopped = stops.iter().filter(|row| is_stop(of(row))).count();
    let false_stops: Vec<_> =
        others.iter().filter(|row| is_stop(of(row))).map(|row| (row.id, &row.text)).collect();
    let held: Vec<_> =
        others.iter().filter(|row| of(row) == Verdict::MayBeOptOut).map(|row| (row.id, &row.text)).collect();
    println!("stopped {stopped} of {}, held others {held:?}", stops.len());
    assert!(unsafe_rows.is_empty(), "{unsafe_rows:?}");
    assert!(false_stops.is_empty(), "{false_stops:?}");
    assert!(stopped >= 20, "{stopped} of {} stopped", stops.len());
    assert!(held.len() * 20 <= others.len(), "held: {held:?}");
    let backs = rows.iter().filter(|row| of(row) == Verdict::OptIn);
    assert!(backs.clone().count() >= 3 && backs.clone().all(|row| row.opt_in));
}

/// Says stop and nothing else.
const STOPS: &[&str] = &[
    "stop",
    "STOP.",
    "Stop!",
    "ＳＴＯＰ",
    "СТОП",
    "S T O P",
    "s.t.o.p",
    "s-t-o-p",
    "STOP 🛑",
    "🛑",
    "⛔⛔",
    "stop stop stop",
    "STOPPP",
    "stooop",
    "STOP please",
    "Please stop",
    "please STOP, thank you",
    "ok stop",
    "Stop now!!!",
    "sotp",
    "stpo",
    "stopp",
    "ST0P",
    "\u{200B}STOP\u{200B}",
    "ѕтор",
    "STОP",
    "'stop'",
    "\"STOP\"",
    "(stop)",
    "stop\n",
    "STOP\nSent from my Galaxy",
    "STOP Sent from my iPhone",
    "stop all",
    "STOPALL",
    "stop texting me",
    "stop sending me messages",
    "STOP SMS",
    "unsubscribe",
    "unsubscibe me",
    "un-subscribe",
    "cancel",
    "Cancel please",
    "cancle",
    "END",
    "end.",
    "quit",
    "Quit!",
    "revoke",
    "opt out",
    "opt-out",
    "OPTOUT",
    "opt me out please",
    "remove me",
    "take me off your list",
    "stop to opt out",
    "Bitte Stopp",
    "abmelden bitte",
    "Abmeldung",
    "bitte austragen",
    "arrêt",
    "ARRETER svp",
    "STOP SMS svp",
    "se désabonner",
    "baja por favor",
    "ALTO",
    "BASTA",
    "cancelar",
    "no más",
    "disiscrivimi",
    "ferma",
    "afmelden a.u.b.",
    "uitschrijven",
    "sair",
    "parar",
    "rezygnuję",
    "wypisz mnie",
    "avsluta tack",
    "afmeld",
    "dezabonare",
    "odhlásit",
    "İPTAL",
    "durdur lütfen",
    "стоп пожалуйста",
    "отписаться",
    "إلغاء",
    "ايقاف",
    "hủy",
    "từ chối",
    "ｓｔｏｐ。",
    "stop 🙏",
    "S\u{336}T\u{336}OP",
];

/// Mean stop to a reader, in words of their own: never a reason to go on.
const WISHES: &[&str] = &[
    "please don't send me anything else",
    "I never signed up for this",
    "who gave you permission to message me",
    "lose my number",
    "do not text this phone ever again",
    "you need to quit contacting me",
    "I revoke my consent",
    "no more of this please",
    "delete my phone number from your system",
    "this is harassment",
    "leave me the hell alone",
    "last warning, next text goes to my lawyer",
    "I'd rather not get these",
    "kindly cease all communication",
    "I'm blocking you",
    "get me off this thing",
    "no",
    "nope",
    "F off",
    "go bother someone else",
    "these texts need to end",
    "stop it already I said I'd pay",
    "paid. now stop",
    "wrong person, stop texting",
    "STOP STOP I paid you yesterday",
    "pleasestop",
    "enough with the texts",
    "I do not consent to text messages",
    "unsubscribing",
    "text me again and I'll sue",
    "how do I opt out of this?",
    "why won't you stop",
    "if you don't stop I call the police",
    "STOP 1",
    "don't text, email",
    "only contact me by letter",
    "we've asked you twice to remove us",
    "not interested, bye",
    "remove 0151 2345678",
    "🖕",
    "lassen Sie mich in Ruhe",
    "ich will das nicht mehr",
    "keine Nachrichten mehr schicken!",
    "hört auf mit den SMS",
    "nehmen Sie mich aus dem Verteiler",
    "Ich widerrufe meine Einwilligung",
    "schreibt mir nie wieder",
    "das reicht jetzt",
    "laissez-moi tranquille",
    "je ne veux plus recevoir vos messages",
    "enlevez mon numéro",
    "n'écrivez plus",
    "ça suffit",
    "déjenme en paz",
    "no quiero recibir más mensajes",
    "borren mi número",
    "deja de escribirme",
    "ya basta",
    "lasciatemi in pace",
    "non voglio più ricevere sms",
    "toglietemi dalla lista",
    "basta messaggi",
    "stop met die berichten",
    "ik wil geen sms meer",
    "haal mij van de lijst",
    "laat me met rust",
    "não quero mais receber mensagens",
    "parem de me mandar sms",
    "tirem meu número",
    "me deixe em paz",
    "proszę przestać pisać",
    "nie życzę sobie wiadomości",
    "dajcie mi spokój",
    "skicka inga fler sms",
    "sluta smsa mig",
    "ta bort mitt nummer",
    "nu mai vreau mesaje",
    "ștergeți numărul meu",
    "neposílejte mi další zprávy",
    "nepište mi",
    "bana mesaj göndermeyin",
    "numaramı silin",
    "не пишите мне больше",
    "удалите мой номер",
    "хватит слать смс",
    "لا ترسل لي رسائل",
    "احذف رقمي",
    "đừng nhắn tin nữa",
    "再也不要发短信给我",
    "メッセージを送らないでください",
];

/// About something else.
const OTHERS: &[&str] = &[
    "hello",
    "Hi there",
    "1",
    "2",
    "①",
    "option 2 please",
    "ok",
    "OK thanks",
    "thank you!",
    "yes",
    "Yes, tomorrow",
    "👍",
    "😞",
    "paid",
    "I paid this on Monday",
    "I'll pay Friday",
    "can I pay half now and half next week?",
    "how much is it?",
    "what is this about",
    "who is this?",
    "wrong number",
    "wrong number, this is not Karen",
    "I'll stop by on Thursday to pay",
    "end of the month",
    "I get paid at the end of the week",
    "fine, I'll pay tomorrow",
    "call me after 5",
    "where do I send the check?",
    "I lost my job",
    "my card was declined, trying again tomorrow",
    "is this a scam",
    "the amount is wrong",
    "I already sent it",
    "at the bus stop, will pay later",
    "need help with the link",
    "payment went through",
    "I never got the invoice",
    "reply 3",
    "ich überweise morgen",
    "Ende des Monats zahle ich",
    "schon bezahlt",
    "Wie hoch ist der Betrag?",
    "danke",
    "ja, am Freitag",
    "falsche Nummer",
    "Kann ich in Raten zahlen?",
    "je paie demain",
    "fin du mois",
    "c'est déjà payé",
    "qui êtes-vous ?",
    "pago el lunes",
    "¿para cuándo es?",
    "ya pagué ayer",
    "¿cuánto debo?",
    "a fin de mes",
    "pago domani",
    "a fine mese",
    "ho già pagato",
    "ik betaal morgen",
    "is al betaald",
    "pago amanhã",
    "já paguei",
    "zapłacę jutro",
    "już zapłacone",
    "betalar på fredag",
    "zaplatím zítra",
    "yarın ödeyeceğim",
    "заплачу завтра",
    "уже оплатил",
    "سأدفع غدا",
    "mai trả tiền nhé ngày mai",
    "0123456789012345678901234567890123456789",
    "",
    "   ",
    "?",
    "...",
    "Liked “Reminder: 84.10 due. Reply STOP to opt out”",
    "Loved \"Invoice due. STOP to end\"",
    "Reacted 👍 to “Reply STOP to opt out”",
    "Hat „Antworten Sie STOPP“ mit „Gefällt mir“ markiert",
    "A aimé « Répondez STOP pour arrêter »",
];

#[test]
fn whole_message_stops_are_stopped() {
    let missed: Vec<_> = STOPS.iter().filter(|text| !is_stop(classify(text, None))).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn wishes_to_stop_never_pass_as_something_else() {
    let missed: Vec<_> = WISHES.iter().filter(|text| classify(text, None) == Verdict::Other).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn replies_about_something_else_are_neither_stopped_nor_held() {
    let caught: Vec<_> = OTHERS.iter().filter(|text| classify(text, None) != Verdict::Other).collect();
    assert!(caught.is_empty(), "{caught:?}");
}
