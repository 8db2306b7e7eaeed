//! Which option of a menu a reply names, if it names one and says nothing else.
//!
//! A menu's answer may move money, so every word must be known: a number, what chooses, courtesy, and behind a
//! number that stands first a wish to be called. Whatever else is said, asked, negated or counted makes the reply
//! [`Answer::Not`], and a person reads it.
//!
//! It leaves to others: stop words, which are asked before, and whether a menu is open.

use super::machine::hear;
use super::normal::ends;
use super::optout::warns;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The digit of one of the options.
    Option(u8),
    Not,
}

/// More words are a letter.
const WORDS_MAX: usize = 16;

/// The names of each number in the languages that nudged speaks, folded: said alone or with [`FILL`].
const NUMBERS: [&str; 9] = [
    "one ein eine eins einser un une uno una een jeden jedna jedno jedynka один одна bir ett unu egy yksi واحد 一",
    "two zwei zwo deux dos due twee dois duas dwa dwie dwojka два две iki tva dva doi ketto kaksi اثنان اثنين 二",
    "three drei trois tres tre drie trzy trojka три uc tri trei harom kolme ثلاثه 三",
    "four vier quatre cuatro quattro quatro cztery czworka четыре dort fyra ctyri patru negy nelja اربعه 四",
    "five funf cinq cinco cinque vijf piec piatka пять bes fem cinci viisi خمسه 五",
    "six sechs seis sei zes szesc szostka шесть alti sest sase kuusi سته 六",
    "seven sieben sept siete sette zeven sete siedem siodemka семь yedi sju syv sedm sapte سبعه 七",
    "eight acht huit ocho otto oito osiem osemka восемь sekiz atta otte osm ثمانيه 八",
    "nine neun neuf nueve nove negen dziewiec dziewiatka девять dokuz nio devet تسعه 九",
];

/// The names of each place in a row, folded.
const PLACES: [&str; 9] = [
    "first erste ersten erster erstes premier premiere primero primera primer primo eerste primeiro \
        primeira pierwsza pierwszy pierwsze первыи первая первое birinci",
    "second zweite zweiten zweiter zweites deuxieme seconde segundo secondo seconda tweede druga drugi drugie \
        второи вторая второе ikinci",
    "third dritte dritten dritter drittes troisieme tercero tercera tercer terzo terza derde terceiro terceira \
        trzecia trzeci trzecie третии третья третье ucuncu",
    "fourth vierte vierten vierter viertes quatrieme cuarto cuarta quarto vierde czwarta czwarty czwarte",
    "fifth funfte funften funfter funftes cinquieme quinto vijfde piata piaty piate",
    "sixth sechste sechsten sechster sechstes sixieme sexto sesto sesta zesde szosta szosty szoste",
    "seventh siebte siebten siebter siebtes septieme septimo septima settimo settima zevende setimo setima \
        siodma siodmy siodme",
    "eighth achte achten achter achtes huitieme octavo octava ottavo ottava achtste oitavo oitava osma osmy osme",
    "ninth neunte neunten neunter neuntes neuvieme noveno novena negende dziewiata dziewiaty dziewiate",
];

/// Numbers that are weekdays, a sound or praise as well: they need a word that chooses. By value.
const UNSURE: [(&str, u8); 7] =
    [("um", 1), ("prima", 1), ("segunda", 2), ("quarta", 4), ("cuarta", 4), ("quinta", 5), ("sexta", 6)];

/// What stands behind a digit that is a place in a row: 1st, 2e, 3rd.
const PLACE_ENDS: [&str; 15] =
    ["st", "nd", "rd", "th", "er", "ere", "re", "eme", "e", "o", "a", "te", "ste", "de", "ra"];

/// Says that the number is an option.
const CHOOSE: &str = "\
    alternativ answer antwoord antwort appuie button choice choisir choisis choix choose chose digito \
    druck drucke elijo entscheide escojo escolho go going keuze key kies marco menu neem nehme nimm nr \
    num numara number numer numero nummer opcao opcion opcja opcje opt optie option optiunea opzione pick \
    picking prefiero prefiro premo prendo prends press pressed pressing pulso reply reponse resposta \
    respuesta risposta scelgo secenek select selected selecting tape taste tasto toets touche valjer \
    varianta variante volba waehle wahl wahle wybieram wybor вариант выбираю номер опция الخيار خيار رقم";

/// Changes nothing beside a number.
const FILL: &str = "\
    accord adesso alsjeblieft also alstublieft aub bedankt bien bitte bonjour bueno buenos ciao d da dank \
    danke dann das de dear dias die do doing dziekuje el es est favor favore gern gerne goed got graag \
    gracias grazie hallo hello het hey hi hola i ich id ik il ill im is its j ja je jeg just l la le let \
    lets lieber like lutfen mag make mal merci mich mij mine mochte my n nou now o obrigada obrigado ok \
    okay ola oui perfavore perpiacere piacere plait please pls plz poprosze porfa porfavor prosim prosze \
    quero quiero s salve sera seria si sim so stp su sure svp tack tak take taking te thank thanks that \
    thats the then thx to ty u ud uw va vale veux vielen voglio vorrei voudrais vous wanna want wel wil \
    will would yeah yep yes you z да пожалуиста спасибо хочу فضلك من";

/// Makes a number one that is counted or dated unless something says that it is an option.
const COUNTING: &str = "\
    con en for fur mit per por pour to voor with за";

/// Asks for a call, behind the option.
const CALL: &str = "\
    anruf anrufen appel appelez bel bellen call chiamate chiamatemi liguem llamada llamar llamarme llamen \
    llamenme oddzwoncie rappel rappeler rappelez richiamate richiamatemi ring ruckruf rufen telefon \
    telefono telefoon terugbellen zadzwoncie";

/// Goes with the wish to be called.
const CALL_WITH: &str = "an back me mi mich mij mir moi on phone sie tel us zuruck";

/// Stands between the wish to be called and its hour.
const WHEN: &str = "\
    a ab after antes apres around at avant before das de delle depois despues dopo gegen las le na nach om po \
    prima przed um van vers voor vor";

/// Stands behind an hour.
const HOURS: [&str; 9] = ["am", "pm", "h", "uhr", "uur", "hrs", "heures", "clock", "oclock"];

/// Signs that count, ask or point elsewhere, in a folded text.
const OTHER_SIGNS: &str = "$€£¥₽₺₴₹¢%?؟@~<>^👎";

fn holds(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|entry| entry == word)
}

/// Reads a reply to a text whose menu has these digits.
pub fn answer(text: &str, options: &[u8]) -> Answer {
    let heard = hear(&spelled(&ends(text)), None);
    let other = heard.folded.contains(|c: char| OTHER_SIGNS.contains(c)) || signed(&heard.folded);
    if heard.automatic || other || warns(&heard.folded) || heard.said.len() > WORDS_MAX {
        return Answer::Not;
    }
    match named(&joined(&heard.said)) {
        Some(digit) if options.contains(&digit) => Answer::Option(digit),
        _ => Answer::Not,
    }
}

/// Digits in signs that have no compatibility form, and the signs of a number or a place.
fn spelled(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let first = match c {
            '\u{2776}'..='\u{277E}' => '\u{2776}',
            '\u{2780}'..='\u{2788}' => '\u{2780}',
            '\u{278A}'..='\u{2792}' => '\u{278A}',
            '\u{24F5}'..='\u{24FD}' => '\u{24F5}',
            'º' | 'ª' => {
                plain.push('°');
                continue;
            }
            '№' => {
                plain.push_str(" nr ");
                continue;
            }
            c => {
                plain.push(c);
                continue;
            }
        };
        let digit = char::from_digit(c as u32 - first as u32 + 1, 10);
        plain.extend([' ', digit.unwrap_or(c), ' ']);
    }
    plain
}

/// `+1`, `-2`: a sign of arithmetic that no word stands before.
fn signed(folded: &str) -> bool {
    let mut before = (' ', ' ');
    for c in folded.chars() {
        if c.is_ascii_digit() && matches!(before.1, '+' | '-' | '\u{2212}') && before.0.is_whitespace() {
            return true;
        }
        before = (before.1, c);
    }
    false
}

/// The words with those of courtesy made one whose first says something else alone.
fn joined(words: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(last) if COURTESY.contains(&(last.as_str(), word)) => last.push_str(word),
            _ => joined.push(word.clone()),
        }
    }
    joined
}

const COURTESY: [(&str, &str); 3] = [("por", "favor"), ("per", "favore"), ("per", "piacere")];

/// What one word may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// A digit or a name of it.
    Number(u8),
    Place(u8),
    /// A place in digits, which may be a day of the month.
    Dated(u8),
    /// An option, if anything chooses.
    Unsure(u8),
    Choose,
    Fill,
    Counting,
}

fn read(word: &str) -> Option<Word> {
    if let Some(number) = table(&NUMBERS, word) {
        return Some(Word::Number(number));
    }
    if let Some(place) = table(&PLACES, word) {
        return Some(Word::Place(place));
    }
    if let Some((_, number)) = UNSURE.iter().find(|(unsure, _)| *unsure == word) {
        return Some(Word::Unsure(*number));
    }
    if holds(CHOOSE, word) {
        return Some(Word::Choose);
    }
    if holds(COUNTING, word) {
        return Some(Word::Counting);
    }
    if holds(FILL, word) {
        return Some(Word::Fill);
    }
    digits(word)
}

fn table(names: &[&str; 9], word: &str) -> Option<u8> {
    (1..=9).find(|number| holds(names[usize::from(*number) - 1], word))
}

/// `2`, `2nd` and `option2`.
fn digits(word: &str) -> Option<Word> {
    let at = word.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = word.split_at(at);
    let digit = rest.chars().next()?.to_digit(10).and_then(|digit| u8::try_from(digit).ok())?;
    match (before, &rest[1..]) {
        ("", "") => Some(Word::Number(digit)),
        ("", end) if PLACE_ENDS.contains(&end) => Some(Word::Dated(digit)),
        (choose, "") if holds(CHOOSE, choose) || choose == "n" => Some(Word::Number(digit)),
        _ => None,
    }
}

/// The one number that the words name.
fn named(words: &[String]) -> Option<u8> {
    let (mut found, mut chosen, mut doubt, mut place) = (None, false, false, false);
    for (at, word) in words.iter().enumerate() {
        let read = match read(word) {
            // "the first one"
            Some(Word::Number(1)) if place && word == "one" => Word::Choose,
            // "2 d", "2 u": a unit.
            Some(Word::Fill) if word.chars().count() == 1 && at > 0 && is_digit(&words[at - 1]) => {
                return None;
            }
            Some(read) => read,
            None => {
                let opened = is_opened_by_a_digit(&words[..at]) && (chosen || !doubt);
                return found.filter(|_| opened && asks_for_a_call(&words[at..]));
            }
        };
        place = matches!(read, Word::Place(_) | Word::Dated(_));
        match read {
            Word::Choose => chosen = true,
            Word::Counting => doubt = true,
            Word::Fill => {}
            Word::Number(number) | Word::Place(number) | Word::Dated(number) | Word::Unsure(number) => {
                if found.is_some_and(|other| other != number) {
                    return None;
                }
                doubt |= matches!(read, Word::Unsure(_)) || dated(read, at, words);
                found = Some(number);
            }
        }
    }
    found.filter(|_| chosen || !doubt)
}

fn is_digit(word: &str) -> bool {
    word.len() == 1 && word.bytes().all(|b| b.is_ascii_digit())
}

/// "the 2nd" is a day of the month as well; "2nd" alone is an answer.
fn dated(read: Word, at: usize, words: &[String]) -> bool {
    matches!(read, Word::Dated(_)) && at > 0 && words[at - 1] == "the"
}

/// Whether a digit opens the reply, so that what follows is about it; in words it may count: "one call".
fn is_opened_by_a_digit(words: &[String]) -> bool {
    let opens = words.iter().find(|word| !matches!(read(word), Some(Word::Choose | Word::Fill)));
    opens.is_some_and(|word| is_digit(word))
}

/// "call after 5", "bitte anrufen": nothing but a wish to be called and perhaps its hour.
fn asks_for_a_call(words: &[String]) -> bool {
    let (mut called, mut hour_may_come, mut after_hour) = (false, false, false);
    for word in words {
        let (hour, when, call) = (hour(word), holds(WHEN, word), holds(CALL, word));
        let fits = match hour {
            true => hour_may_come,
            false if HOURS.contains(&word.as_str()) => after_hour,
            false => when || call || holds(CALL_WITH, word) || holds(FILL, word),
        };
        if !fits {
            return false;
        }
        called |= call;
        hour_may_come = called && (when || hour);
        after_hour = hour;
    }
    called
}

/// `5`, `17`, `5pm`, `17h`.
fn hour(word: &str) -> bool {
    let ends = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, rest) = word.split_at(ends);
    (1..=2).contains(&digits.len()) && (rest.is_empty() || HOURS.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, classify};
    use super::*;
    use proptest::prelude::*;

    const ALL: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn a_number_is_an_answer_however_it_is_written() {
        for (text, digit) in [
            ("1", 1),
            ("２", 2),
            ("②", 2),
            ("❷", 2),
            ("➊", 1),
            ("3️⃣", 3),
            ("١", 1),
            ("۲", 2),
            ("२", 2),
            ("2.", 2),
            ("2)", 2),
            ("(2)", 2),
            ("#2", 2),
            ("*2*", 2),
            ("2 👍", 2),
            ("2 2", 2),
            ("option 2", 2),
            ("Option2", 2),
            ("opt-2", 2),
            ("nr 2", 2),
            ("nº 2", 2),
            ("№2", 2),
            ("2ª", 2),
            ("2 please", 2),
            ("ok 2 thanks", 2),
            ("I'll go with 2", 2),
            ("I'd like option 2 please", 2),
            ("I'll go for 2", 2),
            ("3 por favor", 3),
            ("2 per favore", 2),
            ("scelgo la prima", 1),
            ("my answer is 1", 1),
            ("two", 2),
            ("the first one", 1),
            ("the second one please", 2),
            ("2nd", 2),
            ("the 2nd option", 2),
            ("eins", 1),
            ("die erste bitte", 1),
            ("ich nehme die zwei", 2),
            ("Option für 2", 2),
            ("deux", 2),
            ("la première svp", 1),
            ("je choisis le 2", 2),
            ("la segunda opción", 2),
            ("opción tres por favor", 3),
            ("il secondo", 2),
            ("scelgo la due", 2),
            ("optie drie graag", 3),
            ("de tweede", 2),
            ("opção um", 1),
            ("numer dwa", 2),
            ("pierwsza", 1),
            ("poproszę 3", 3),
            ("вариант 2", 2),
            ("второй", 2),
            ("1 pls call after 5", 1),
            ("1, please call me back at 5:30 pm", 1),
            ("1 bitte Rückruf ab 17 Uhr", 1),
            ("> Reply 1 or 2\n1", 1),
            ("2\nSent from my phone", 2),
        ] {
            assert_eq!(answer(text, &ALL), Answer::Option(digit), "{text}");
        }
    }

    /// Near an answer, and none.
    const NO_ANSWERS: [&str; 71] = [
        "",
        "ok",
        "2 weeks",
        "in 2 weeks",
        "2pm",
        "at 2",
        "call me at 2",
        "$2",
        "2€",
        "2%",
        "2 or 3?",
        "1 or 2",
        "2?",
        "not 2",
        "no 2",
        "2 not 3",
        "don't want 2",
        "nicht die 2",
        "pas 2",
        "no quiero la 2",
        "12",
        "0",
        "2.5",
        "2:30",
        "1/2",
        "½",
        "+1",
        "-1",
        "2 days",
        "2 Wochen",
        "um 2",
        "um",
        "segunda",
        "na segunda",
        "am 2.",
        "on the 2nd",
        "the 2nd",
        "20.3.",
        "2026-03-02",
        "for 2",
        "one second",
        "just a second",
        "one moment",
        "un momento",
        "2 of us paid",
        "2 d",
        "2 u",
        "2 s",
        "1 an",
        "1 Uhr anrufen",
        "1 pm call me",
        "1 h call",
        "first call me",
        "one call please",
        "en 2",
        "les 2",
        "mit 2",
        "prima",
        "Prima, danke",
        "nono",
        "secondo me",
        "fire",
        "1 stop texting me",
        "1 but I already paid",
        "1 🛑",
        "2 🖕",
        "Liked “Reply 1 to be called”",
        "Automatic reply: 1",
        "1 tomorrow",
        "1 call 5",
        "call 5 after 1",
    ];

    #[test]
    fn a_number_that_is_counted_dated_asked_or_denied_is_no_answer() {
        for text in NO_ANSWERS {
            assert_eq!(answer(text, &ALL), Answer::Not, "{text}");
        }
    }

    #[test]
    fn a_digit_that_the_menu_has_not_is_no_answer() {
        assert_eq!(answer("3", &[1, 2]), Answer::Not);
        assert_eq!(answer("1", &[]), Answer::Not);
    }

    #[test]
    fn the_labelled_replies_are_answers_where_they_are_labelled_so_and_nowhere_else() {
        let vectors = include_str!("../../../tests/vectors/replies-dev.tsv");
        let (mut answers, mut wrong) = (0, Vec::new());
        for line in vectors.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let (id, context, intent) = (columns[0], columns[3], columns[6]);
            let text = columns[5].replace("\\n", "\n");
            let options: &[u8] = if context == "m123" { &[1, 2, 3] } else { &[1, 2] };
            let digit = intent.strip_prefix("menu_").and_then(|digit| digit.parse().ok());
            answers += usize::from(digit.is_some());
            let wanted = digit.map_or(Answer::Not, Answer::Option);
            if answer(&text, options) != wanted {
                wrong.push((id, text));
            }
        }
        assert!(answers >= 18, "the rows are found");
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn no_word_that_stops_is_an_answer() {
        let words = super::super::words::WORDS.iter();
        let words =
            words.flat_map(|words| words.stop.split_whitespace().chain(words.alone.split_whitespace()));
        for word in words.map(|word| word.replace('_', " ")) {
            for text in
                [word.clone(), format!("1 {word}"), format!("{word} 1"), format!("please {word} call me 1")]
            {
                assert_eq!(answer(&text, &ALL), Answer::Not, "{text}");
            }
        }
    }

    #[test]
    fn no_answer_is_a_certain_stop() {
        for text in NUMBERS.iter().chain(&PLACES).flat_map(|names| names.split_whitespace()) {
            if matches!(classify(text, None), Verdict::OptOut { .. }) {
                panic!("{text} is a stop word");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            prop_assert!(matches!(answer(&text, &[1, 2]), Answer::Not | Answer::Option(1 | 2)));
        }

        #[test]
        fn a_number_among_words_that_are_not_known_is_no_answer(before in "[b-z]{7,9}", digit in 1u8..=9) {
            prop_assert_eq!(answer(&format!("{digit} {before}qx"), &ALL), Answer::Not);
            prop_assert_eq!(answer(&format!("qx{before} {digit}"), &ALL), Answer::Not);
        }
    }
}
