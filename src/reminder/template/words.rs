//! Words that a reminder should not hold, by language: threats, false legal threats, pressure, promotion.
//!
//! Folded as [`fold`] folds: small letters without diacritics. A phrase is found where it begins a word; an entry
//! that ends in a blank must end one too.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::lint::Code;

/// Phrases of one language, by what is wrong with them.
struct Words {
    language: &'static str,
    threat: &'static [&'static str],
    legal: &'static [&'static str],
    urgent: &'static [&'static str],
    promo: &'static [&'static str],
}

const WORDS: [Words; 8] = [
    Words {
        language: "en",
        threat: &[
            "consequence",
            "or else",
            "last chance",
            "last warning",
            "we will find",
            "your employer",
            "your family",
            "your neighbo",
            "shame",
            "punish",
            "threat",
            "blacklist",
            "ruin",
            "visit you at",
        ],
        legal: &[
            "arrest",
            "jail",
            "prison",
            "police",
            "criminal",
            "warrant",
            "sheriff",
            "garnish",
            "lawsuit",
            "sue ",
            "sued ",
            "court",
            "legal action",
            "seize",
            "bailiff",
            "prosecut",
            "deport",
        ],
        urgent: &["urgent", "immediately", "at once", "act now", "right now", "without delay", "asap"],
        promo: &[
            "discount",
            "offer",
            "sale ",
            "free ",
            "win ",
            "winner",
            "bonus",
            "deal ",
            "coupon",
            "voucher",
            "upgrade",
            "new product",
            "buy now",
            "% off",
            "special price",
            "newsletter",
        ],
    },
    Words {
        language: "de",
        threat: &[
            "konsequenz",
            "letzte chance",
            "letzte warnung",
            "arbeitgeber",
            "ihre familie",
            "nachbarn",
            "schande",
            "bestraf",
            "drohung",
            "schwarze liste",
            "hausbesuch",
            "schufa",
        ],
        legal: &[
            "haft",
            "gefangnis",
            "polizei",
            "strafanzeige",
            "straftat",
            "anzeige",
            "gericht",
            "pfandung",
            "pfanden",
            "gerichtsvollzieher",
            "klage",
            "zwangsvollstreckung",
            "rechtliche schritte",
            "mahnbescheid",
        ],
        urgent: &["dringend", "eilt", "sofort", "umgehend", "unverzuglich", "jetzt handeln"],
        promo: &[
            "rabatt",
            "angebot",
            "gratis",
            "kostenlos",
            "gewinn",
            "bonus",
            "gutschein",
            "aktion ",
            "sonderpreis",
            "sparen",
            "jetzt kaufen",
            "newsletter",
            "neuheit",
        ],
    },
    Words {
        language: "fr",
        threat: &[
            "consequence",
            "derniere chance",
            "dernier avertissement",
            "votre employeur",
            "votre famille",
            "menace",
        ],
        legal: &[
            "prison",
            "police",
            "plainte",
            "tribunal",
            "huissier",
            "saisie",
            "poursuite",
            "action en justice",
        ],
        urgent: &["urgent", "immediatement", "sans delai", "au plus vite"],
        promo: &["promo", "remise", "offre", "gratuit", "gagne", "cadeau", "bon d'achat", "reduction"],
    },
    Words {
        language: "es",
        threat: &[
            "consecuencia",
            "ultima oportunidad",
            "ultimo aviso",
            "su empleador",
            "su familia",
            "amenaza",
            "asnef",
        ],
        legal: &[
            "carcel",
            "prision",
            "policia",
            "denuncia",
            "juzgado",
            "tribunal",
            "embarg",
            "demanda",
            "acciones legales",
        ],
        urgent: &["urgente", "inmediatamente", "de inmediato", "cuanto antes"],
        promo: &["descuento", "oferta", "gratis", "gane ", "ganador", "regalo", "cupon", "promocion"],
    },
    Words {
        language: "it",
        threat: &[
            "conseguenz",
            "ultima possibilita",
            "ultimo avvertimento",
            "datore di lavoro",
            "sua famiglia",
            "minacci",
        ],
        legal: &[
            "carcere",
            "polizia",
            "denuncia",
            "tribunale",
            "pignoramento",
            "ufficiale giudiziario",
            "azioni legali",
        ],
        urgent: &["urgente", "immediatamente", "subito", "senza indugio"],
        promo: &["sconto", "offerta", "gratis", "vinci", "regalo", "buono ", "promozione"],
    },
    Words {
        language: "nl",
        threat: &[
            "gevolgen",
            "laatste kans",
            "laatste waarschuwing",
            "uw werkgever",
            "uw familie",
            "dreig",
            "bkr",
        ],
        legal: &[
            "gevangenis",
            "politie",
            "aangifte",
            "rechtbank",
            "rechter",
            "deurwaarder",
            "beslag",
            "dagvaarding",
            "juridische stappen",
        ],
        urgent: &["dringend", "spoed", "onmiddellijk", "direct betalen", "onverwijld"],
        promo: &["korting", "aanbieding", "gratis", "win ", "winnaar", "cadeau", "actie ", "voordeel"],
    },
    Words {
        language: "pt",
        threat: &[
            "consequencia",
            "ultima chance",
            "ultima oportunidade",
            "ultimo aviso",
            "seu empregador",
            "sua familia",
            "ameaca",
            "serasa",
        ],
        legal: &[
            "prisao",
            "policia",
            "queixa-crime",
            "tribunal",
            "penhora",
            "processo judicial",
            "acao judicial",
            "oficial de justica",
        ],
        urgent: &["urgente", "imediatamente", "de imediato", "quanto antes"],
        promo: &["desconto", "oferta", "gratis", "ganhe", "premio", "presente", "cupom", "promocao"],
    },
    Words {
        language: "pl",
        threat: &[
            "konsekwencj",
            "ostatnia szansa",
            "ostatnie ostrzezenie",
            "pracodawc",
            "rodzin",
            "grozb",
            "krd",
        ],
        legal: &[
            "wiezieni",
            "policj",
            "prokurat",
            "sad ",
            "sadu ",
            "komornik",
            "egzekucj",
            "pozew",
            "kroki prawne",
        ],
        urgent: &["pilne", "pilnie", "natychmiast", "bezzwlocznie", "niezwlocznie"],
        promo: &["rabat", "oferta", "promocj", "gratis", "wygraj", "nagrod", "kupon", "znizk"],
    },
];

/// Services that shorten URLs for everybody: US carriers filter them, and a reader cannot see where they lead.
const SHORTENERS: [&str; 20] = [
    "bit.ly",
    "tinyurl.com",
    "t.co",
    "goo.gl",
    "ow.ly",
    "is.gd",
    "buff.ly",
    "rebrand.ly",
    "cutt.ly",
    "rb.gy",
    "shorturl.at",
    "tiny.cc",
    "t.ly",
    "s.id",
    "lnkd.in",
    "bl.ink",
    "v.gd",
    "shorte.st",
    "short.io",
    "tiny.one",
];

/// Small letters without diacritics, one blank between words and one at each end.
pub fn fold(text: &str) -> String {
    let stripped: String =
        text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let lettered = stripped.replace('ł', "l").replace('ß', "ss").replace('’', "'");
    let words: Vec<&str> = lettered.split_whitespace().collect();
    format!(" {} ", words.join(" "))
}

/// The phrases of a language's list that a folded text holds; of a language we do not know, none.
pub fn found(folded: &str, language: &str) -> Vec<(Code, &'static str)> {
    let Some(words) = WORDS.iter().find(|words| words.language == language) else { return Vec::new() };
    let lists = [
        (Code::Threat, words.threat),
        (Code::LegalThreat, words.legal),
        (Code::Urgent, words.urgent),
        (Code::Promotion, words.promo),
    ];
    let holds = |phrase: &str| {
        folded.match_indices(phrase.trim_end()).any(|(at, bare)| {
            let begins =
                !folded[..at].ends_with(char::is_alphanumeric) || !bare.starts_with(char::is_alphanumeric);
            let ends = !folded[at + bare.len()..].starts_with(char::is_alphanumeric);
            begins && (ends || !phrase.ends_with(' '))
        })
    };
    lists
        .into_iter()
        .flat_map(|(code, phrases)| phrases.iter().map(move |phrase| (code, *phrase)))
        .filter(|(_, phrase)| holds(phrase))
        .map(|(code, phrase)| (code, phrase.trim_end()))
        .collect()
}

/// The first public shortener a folded text names.
pub fn shortener(folded: &str) -> Option<&'static str> {
    SHORTENERS.into_iter().find(|host| {
        folded.match_indices(host).any(|(at, _)| {
            let begins = !folded[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '.'));
            let ends = !folded[at + host.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-');
            begins && ends
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_whatever_their_accents_and_case() {
        assert_eq!(found(&fold("PFÄNDUNG droht"), "de"), [(Code::LegalThreat, "pfandung")]);
        assert_eq!(found(&fold("We will SUE. You"), "en"), [(Code::LegalThreat, "sue")]);
        assert_eq!(found(&fold("No issue, Susan, wonderful"), "en"), []);
        assert_eq!(found(&fold("Dernière   chance"), "fr"), [(Code::Threat, "derniere chance")]);
        assert_eq!(found(&fold("Zniżka dla Pani"), "pl"), [(Code::Promotion, "znizk")]);
        assert_eq!(found(&fold("urgent"), "sv"), []);
    }

    #[test]
    fn every_phrase_is_written_as_the_fold_leaves_it() {
        for words in &WORDS {
            for phrase in [words.threat, words.legal, words.urgent, words.promo].concat() {
                assert_eq!(fold(phrase).trim(), phrase.trim(), "{}", words.language);
            }
        }
    }

    #[test]
    fn shorteners_are_hosts_not_pieces_of_hosts() {
        assert_eq!(shortener(&fold("see https://BIT.ly/x")), Some("bit.ly"));
        assert_eq!(shortener(&fold("see https://rabbit.ly/x https://pet.company")), None);
    }
}
