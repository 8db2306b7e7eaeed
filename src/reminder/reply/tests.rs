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
    "You people never give up do you? Quit it.",
    "Plz remove this cell from ur records",
    "Don't ever message this number.",
    "I'm on the do not call registry",
    "I did not agree to receive these",
    "STOP!!! this is the 5th time",
    "Enough.",
    "sod off",
    "No more!!",
    "Opt-me-out",
    "make it stop",
    "I said stop yesterday",
    "cancel these alerts",
    "discontinue the sms service",
    "no longer wish to get alerts",
    "u r annoying",
    "reported as junk",
    "I want out",
    "end these msgs",
    "block me from your system",
    "contact my lawyer only, not me",
    "I don't want your texts, email me instead",
    "can you stop",
    "Would you please stop sending those?",
    "please unenroll me",
    "I'd like to unsubscribe",
    "this number belongs to my kid, take it off",
    "Next message and I file a complaint",
    "Quit texting",
    "dont care, go away",
    "who r u? stop txting",
    "do not disturb me anymore",
    "Nein danke, keine weiteren Infos",
    "Verschont mich damit",
    "bitte aus der Liste nehmen",
    "Ich bitte um Löschung meiner Daten",
    "Schluss damit",
    "nicht mehr anschreiben bitte",
    "Unterlassen Sie das",
    "nervt nicht",
    "kein Interesse",
    "Kontaktieren Sie mich nur per Brief",
    "j'en ai assez de vos sms",
    "ne me contactez plus",
    "supprimez mes coordonnées",
    "foutez-moi la paix",
    "non merci",
    "plus de messages svp",
    "désinscrivez-moi",
    "no me escriban más",
    "sáquenme de esa lista",
    "no deseo recibir esto",
    "dejen de molestar",
    "elimine mi número",
    "paren ya",
    "no vuelvan a escribir",
    "cancellate il mio numero",
    "smettetela di scrivermi",
    "non mi interessa",
    "mi avete stufato",
    "niente più messaggi",
    "niet meer sturen aub",
    "verwijder mijn nummer",
    "geen berichten meer graag",
    "hou op",
    "não me mandem mais nada",
    "remove meu número",
    "chega de mensagem",
    "não tenho interesse",
    "nie wysyłajcie mi nic",
    "proszę o usunięcie numeru",
    "koniec z tymi smsami",
    "wypiszcie mnie z listy",
    "jag vill inte ha fler meddelanden",
    "avregistrera mig",
    "slutt å sende meg meldinger",
    "lopettakaa viestit",
    "ne írjanak többet",
    "nu mă mai contactați",
    "zrušte posílání sms",
    "artık mesaj istemiyorum",
    "больше не пишите",
    "отстаньте от меня",
    "не треба мені писати",
    "لا تتصلوا بي",
    "xin đừng gửi tin nữa",
    "Pls remove",
    "Not my debt, never write here again",
    "I've had it with your spam",
    "you're breaking the law texting me",
    "Delete all my data",
    "do u ever stop",
    "please no",
    "no text please",
    "No more sms pls",
    "my number is private, how did you get it",
    "Don't",
    "quit harassing my family",
    "this phone is for work only, don't use it",
    "I blocked you",
    "wtf stop",
    "s.t.o.p!!!",
    "sto p",
    "STTOP",
    "unsubcribe me please",
    "Please unsub",
    "dnc",
    "put me on your do not call list",
    "you have no right to contact me",
    "not interested thanks",
    "tell your computer to leave me alone",
    "write me a letter instead of texting",
    "STOP STOP",
    "I opt-out",
    "kindly remove this number",
    "i dont want these anymore",
    "No thx",
    "Keine Werbung bitte",
    "Bitte löschen",
    "lasst das",
    "Ich verbitte mir weitere Nachrichten",
    "Nummer löschen!",
    "Nicht mehr senden",
    "Hör auf!",
    "Finger weg von meiner Nummer",
    "arrêtez ça",
    "ne m'écrivez plus",
    "effacez mon numéro",
    "stop aux sms",
    "je refuse vos messages",
    "fichez-moi la paix",
    "bórrenme",
    "no molesten más",
    "quiten mi número",
    "déjeme tranquilo",
    "no autorizo estos mensajes",
    "dar de baja",
    "non contattatemi più",
    "basta sms",
    "togliete il mio numero",
    "non voglio messaggi",
    "lasciami stare",
    "stop ermee",
    "niet meer sms'en",
    "schrijf mij uit",
    "ophouden nu",
    "para de me mandar mensagem",
    "não perturbe",
    "quero sair",
    "me tira dessa lista",
    "nie pisz do mnie",
    "wykreślcie mnie",
    "przestańcie",
    "sluta",
    "inga fler sms tack",
    "nu mai scrieți",
    "dejte mi pokoj",
    "beni rahatsız etmeyin",
    "listeden çıkarın",
    "прекратите",
    "уберите меня из списка",
    "كفى رسائل",
    "đừng làm phiền",
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
    "Good morning, I received it",
    "My bank is closed today, will go tomorrow",
    "pay by cash possible?",
    "Can someone call me back",
    "please resend the link",
    "the link doesn't work",
    "link is broken",
    "I am waiting for my salary",
    "when is the due date",
    "I don't have the money",
    "can't pay till the 5th",
    "i thought this was paid",
    "sent you a check",
    "ok will do",
    "Sorry, forgot! Paying now",
    "what's the balance",
    "You have the wrong person",
    "need a receipt please",
    "Is there a late fee?",
    "Do you take Visa?",
    "I'm in the hospital",
    "Which invoice?",
    "already done",
    "got it",
    "no problem",
    "sure thing",
    "what number can I call",
    "please call",
    "did you get my payment?",
    "I need more time",
    "how do I pay",
    "cheers",
    "new address: 5 Main St",
    "On my way",
    "tomorrow before noon",
    "3",
    "payment plan please",
    "I was charged twice",
    "not due until June",
    "I never ordered this",
    "Geld kommt nächste Woche",
    "Ich habe die Rechnung nicht erhalten",
    "Bitte um Rückruf",
    "kann erst am 1. zahlen",
    "An welches Konto?",
    "Guten Morgen, wird erledigt",
    "Das ist ein Irrtum",
    "ok mache ich",
    "bin im Urlaub bis Montag",
    "je n'ai pas reçu la facture",
    "je paierai vendredi",
    "pouvez-vous m'appeler",
    "d'accord",
    "je n'ai pas d'argent",
    "no tengo dinero",
    "pagaré la próxima semana",
    "me puede llamar?",
    "no recibí la factura",
    "vale gracias",
    "quiero pagar a plazos",
    "non ho ricevuto la fattura",
    "posso pagare a rate?",
    "va bene grazie",
    "ik heb geen geld",
    "wanneer moet ik betalen?",
    "mag ik in termijnen betalen",
    "não recebi o boleto",
    "posso pagar dia 10?",
    "vou pagar hoje",
    "nie mam pieniędzy",
    "kiedy termin?",
    "proszę o fakturę",
    "kan jag betala nästa vecka?",
    "pot plăti mâine?",
    "kdy je splatnost?",
    "param yok",
    "ne zaman ödemem lazım",
    "нет денег",
    "когда платить?",
    "متى الموعد",
    "khi nào phải trả?",
    "Hi, thanks for the heads up",
    "I will transfer it tonight",
    "still waiting for the refund",
    "Do I need to bring ID?",
    "Sorry I was sick",
    "Why so much?",
    "we already settled this",
    "OK, noted",
    "See you Monday",
    "what's your address",
    "my husband handles this",
    "will be late, sorry",
    "my phone was off",
    "great, thank you so much",
    "who do I make the check out to",
    "hello?",
    "Can you extend to next month",
    "does it include tax",
    "I get my pension on the 15th",
    "need a new link",
    "I've changed banks",
    "card expired",
    "it says error when I pay",
    "call me",
    "Yes please",
    "Nope, all good",
    "half today rest friday",
    "received",
    "Is tomorrow fine?",
    "My mom will pay",
    "just paid, ref 88213",
    "no worries",
    "Danke für die Erinnerung",
    "Überweisung ist raus",
    "Welche Rechnung denn?",
    "bitte Kontonummer schicken",
    "Ich rufe morgen an",
    "hab ich gestern gemacht",
    "bekomme erst am 30. Geld",
    "Geht auch bar?",
    "Mein Mann kümmert sich",
    "merci pour le rappel",
    "je viens de payer",
    "le lien ne marche pas",
    "quel montant ?",
    "je passe demain",
    "gracias por avisar",
    "cuál es el monto",
    "ya está pagado",
    "no me funciona el enlace",
    "mañana paso",
    "grazie del promemoria",
    "quanto devo pagare",
    "ho pagato ieri",
    "bedankt voor de herinnering",
    "ik heb al betaald",
    "obrigado pelo aviso",
    "qual o valor?",
    "pago na sexta",
    "dziękuję za przypomnienie",
    "ile mam zapłacić",
    "już przelałem",
    "tack för påminnelsen",
    "hur mycket är det",
    "mulțumesc, plătesc luni",
    "děkuji, zaplatím",
    "teşekkürler, yarın",
    "спасибо, оплачу в пятницу",
    "сколько я должен",
    "شكرا، غدا",
    "ok cảm ơn",
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

/// Our last text, as [`classify`] is told of it.
const OURS: &str = "Acme: your invoice 4711 over 84.10 EUR is due on 15 March. Pay at https://pay.example/x. Reply STOP to opt out.";

#[test]
fn our_own_text_come_back_is_no_stop() {
    let quoted = format!("> {OURS}");
    let reply = format!("Who is this?\n\"{OURS}\"");
    let forwarded = format!("{OURS} I'll pay tomorrow");
    for text in [OURS, &quoted, &reply, &forwarded] {
        assert_eq!(classify(text, Some(OURS)), Verdict::Other, "{text}");
    }
    let stopped = format!("{OURS}\nSTOP");
    assert_ne!(classify(&stopped, Some(OURS)), Verdict::Other, "the person's own word stays");
}

#[test]
fn a_word_that_our_text_holds_is_still_a_stop() {
    for text in ["STOP", "stop to opt out", "Reply STOP"] {
        assert!(is_stop(classify(text, Some(OURS))), "{text}");
    }
    assert_eq!(classify("Reply STOP to opt out", Some(OURS)), Verdict::MayBeOptOut);
}

#[test]
fn words_behind_a_reaction_are_the_persons_own() {
    assert!(is_stop(classify("Disliked “Pay now. Reply STOP to opt out”\nSTOP", None)));
}

#[test]
fn an_answering_machine_is_not_asked_what_it_means() {
    for text in [
        "I'm driving with Do Not Disturb While Driving turned on.",
        "Automatic reply: out of office until Monday",
    ] {
        assert_eq!(classify(text, None), Verdict::Other, "{text}");
    }
    assert_ne!(classify("STOP! out of office means do not text", None), Verdict::Other);
}

#[test]
fn start_alone_asks_for_messages_again() {
    for text in ["START", "unstop", "Subscribe please", "start texting me again", "anmelden", "alta"] {
        assert_eq!(classify(text, None), Verdict::OptIn, "{text}");
    }
    for text in ["start or stop?", "don't start", "when do we start", "I start a new job on Monday"] {
        assert_ne!(classify(text, None), Verdict::OptIn, "{text}");
    }
}

#[test]
fn real_words_near_a_stop_word_stop_nothing() {
    for text in [
        "shop", "step", "send", "ends", "quite", "quiet", "suit", "spot", "cancer", "pagar", "hasta",
        "firma", "para", "stock",
    ] {
        assert!(!is_stop(classify(text, None)), "{text}");
    }
}

#[test]
fn a_word_that_says_something_else_in_another_language_stops_nothing() {
    for text in [
        "Fine",
        "fine, I'll pay",
        "seis",
        "gata",
        "đúng",
        "fin",
        "slut",
        "Peru",
        "pago",
        "pagar",
        "caja",
        "alta",
        "anmelden",
    ] {
        assert!(!is_stop(classify(text, None)), "{text}");
    }
    assert_eq!(classify("Fine.", None), Verdict::Other);
}

#[test]
fn the_language_is_that_of_the_word() {
    for (text, language) in [
        ("stop", Language::En),
        ("abmelden", Language::De),
        ("désabonner", Language::Fr),
        ("baja", Language::Es),
        ("стоп", Language::Ru),
        ("iptal", Language::Tr),
        ("wypisz", Language::Pl),
    ] {
        assert_eq!(classify(text, None), Verdict::OptOut { language }, "{text}");
    }
}

#[test]
fn a_stop_at_either_end_of_a_huge_text_is_seen() {
    let ballast = "paid on monday ".repeat(3_000);
    assert_eq!(classify(&ballast, None), Verdict::Other);
    assert_eq!(classify(&format!("stop {ballast}"), None), Verdict::MayBeOptOut);
    assert_eq!(classify(&format!("{ballast} stop"), None), Verdict::MayBeOptOut);
}

fn keyword() -> impl Strategy<Value = String> {
    let all = words::WORDS
        .iter()
        .flat_map(|words| words.stop.split_whitespace().chain(words.alone.split_whitespace()));
    let all: Vec<String> = all.map(|word| word.replace('_', " ")).collect();
    proptest::sample::select(all)
}

/// Where a keyword may be wrapped in what says nothing.
fn wrapping() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ \t\n.,!?;:()*_~…🙏🛑-]{0,6}").unwrap()
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), sent in any::<Option<String>>()) {
        classify(&text, sent.as_deref());
    }

    #[test]
    fn words_of_the_tables_in_any_order_are_read_without_a_panic(
        words in proptest::collection::vec("[a-zäößłøéñ'\"ı😞СТОП١٢③ﬁＳ\u{301}\u{200d} ]{0,9}", 0..60)
    ) {
        classify(&words.join(" "), Some(&words.concat()));
    }

    #[test]
    fn a_keyword_stays_one_whatever_its_case_and_whatever_surrounds_it(
        word in keyword(), before in wrapping(), after in wrapping(), upper in any::<u64>(), wide in any::<bool>()
    ) {
        let cased: String = word.chars().enumerate().flat_map(|(at, c)| {
            let up = upper >> (at % 64) & 1 == 1 && c != 'i' && c != 'ς';
            if up { c.to_uppercase().collect::<Vec<char>>() } else { vec![c] }
        }).collect();
        let widened: String = cased.chars().map(|c| if wide && c.is_ascii_graphic() {
            char::from_u32(c as u32 + 0xFEE0).unwrap()
        } else { c }).collect();
        let text = format!("{before}{widened}{after}");
        prop_assert!(is_stop(classify(&text, None)), "{}", text);
        prop_assert!(lexicon::stop(&word).is_some());
    }
}
