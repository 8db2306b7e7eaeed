//! The words of the strict stage, one entry a language: folded, sorted, `_` for the space inside a phrase.
//!
//! Sources: the words the FCC takes as revocation per se (47 CFR 64.1200(a)(10): stop, quit, end, revoke, opt
//! out, cancel, unsubscribe), those carriers act upon, and each language's own. A language may add words; the
//! FCC's stand with English and are never taken away.

use super::Language;

/// One language's words.
pub(super) struct Words {
    pub language: Language,
    /// Stop, said alone; inside a longer text they are looked at.
    pub stop: &'static str,
    /// Stop, said alone; inside a longer text they mostly mean something else.
    pub alone: &'static str,
    /// Messages again, said alone.
    pub start: &'static str,
    /// Politeness and insistence, which change nothing.
    pub courtesy: &'static str,
    /// What a stop word may be about and still be a stop: us and our messages.
    pub about: &'static str,
}

/// Real words one slip away from a stop word.
pub(super) const NEIGHBOURS: &str = "\
    atop auftragen ausfragen beallitas buit cancela canceled cancels cancer chancel concel cuit desta duit \
    ends evoke farma fermi fermo fine firma forma fuit guit harem hasta huit luit nuit pagar para paras \
    pare parei paren pares parir park parte pasar pasta post puit quick quid quiet quilt quint quip quirt \
    quite quito quits quiz remote removed resist retener revoked revokes scop send shop shops shot slop \
    slot spot spots step stob stock stoep stof stoi stok stol stomp stood stool stoop stopa stoppa stopped \
    stopper stoppet stor store storm stos stot stow strip strop suit suite swop top toppen vasta wpisac \
    wpisz الغاز";

/// Only these words are told by a slip, besides the ones of [`SLIP_FROM`] letters: short ones of other
/// languages have too many neighbours.
pub(super) const SLIPPED: &str = "quit stop";

/// From this length a word has few real neighbours.
pub(super) const SLIP_FROM: usize = 5;

pub(super) const WORDS: [Words; 20] = [
    Words {
        language: Language::En,
        stop: "cancel desist no_more_messages no_more_sms no_more_texts opt_me_out opt_out optout quit \
            revoke stop stop_it stop_this stop_to_opt_out stopall take_me_off take_me_off_the_list \
            take_me_off_this_list take_me_off_your_list unsub unsubscribe",
        alone: "dont_contact_me dont_message_me dont_text_me end remove reply_stop send_stop text_stop",
        start: "join optin resume start subscribe unstop",
        courtesy: "fuck fucking hello hey hi immediately just kindly now ok okay please pls plz right_now sir \
            sorry thank_you thanks thx ty",
        about: "all bothering contact contacting harassing me message messages messaging msg msgs my \
            notifications reminder reminders sending sms spamming text texting texts the these those \
            your",
    },
    Words {
        language: Language::De,
        stop: "abbestellen abmelden abmeldung austragen stop stopp",
        alone: "aufhoren beenden ende keine_nachrichten_mehr keine_sms_mehr loschen",
        start: "anmelden anmeldung start wieder_anmelden",
        courtesy: "bitte bitteschon danke endlich hallo jetzt mal sofort vielen_dank",
        about: "alle die ich_mochte_mich ihre mich nachrichten schreiben senden sms",
    },
    Words {
        language: Language::Fr,
        stop: "arret arreter arretez desabonnement desabonner desinscription desinscrire resilier stop",
        alone: "arrete stopper supprimer",
        start: "reprendre start",
        courtesy: "bonjour immediatement maintenant merci s_il_te_plait s_il_vous_plait s_v_p stp svp",
        about: "d de envoi envoyer l les me messages moi se sms textos vos",
    },
    Words {
        language: Language::Es,
        stop: "cancelar cancelen darme_de_baja dejen_de_escribirme desuscribir desuscribirme detener \
            no_mas no_mas_mensajes no_mas_sms parar stop",
        alone: "alto baja basta borrar cancela eliminar salir",
        start: "alta iniciar start",
        courtesy: "ahora gracias hola por_favor porfa porfavor ya",
        about: "de este los me mensaje mensajes sms sus",
    },
    Words {
        language: Language::It,
        stop: "cancellami cancellatemi cancellati disiscrivi disiscrivimi disiscrizione stop",
        alone: "annulla basta cancella ferma fermare rimuovi",
        start: "inizia iscrivi start",
        courtesy: "adesso grazie ora per_favore per_piacere salve subito",
        about: "con gli i invii invio messaggi questi sms",
    },
    Words {
        language: Language::Nl,
        stop: "afmelden opzeggen stop stoppen uitschrijven",
        alone: "einde",
        start: "aanmelden start",
        courtesy: "a_u_b alsjeblieft alstublieft asjeblieft aub bedankt dank dank_u graag hallo nu svp",
        about: "alle berichten de deze met mij sms smsjes sturen",
    },
    Words {
        language: Language::Pt,
        stop: "cancelar descadastrar descadastre parem remover",
        alone: "chega parar pare sair",
        start: "iniciar start voltar",
        courtesy: "agora obrigada obrigado ola por_favor",
        about: "as de enviar me mensagens os sms",
    },
    Words {
        language: Language::Pl,
        stop: "rezygnacja rezygnuje stop wypisac wypisz wypisz_mnie wypiszcie_mnie",
        alone: "anuluj dosc koniec usun",
        start: "start zapisz",
        courtesy: "dziekuje natychmiast prosze teraz",
        about: "mnie sms smsow smsy wiadomosci z",
    },
    Words {
        language: Language::Sv,
        stop: "avanmal avanmala avregistrera avsluta avsluta_prenumeration stopp",
        alone: "sluta",
        start: "anmal start starta",
        courtesy: "genast nu snalla tack tack_sa_mycket",
        about: "alla mig skicka sms",
    },
    Words {
        language: Language::Da,
        stop: "afmeld avmeld avslutt frameld meld_fra stopp",
        alone: "",
        start: "start tilmeld",
        courtesy: "na nu tak takk venligst",
        about: "alle beskeder meg mig sms",
    },
    Words {
        language: Language::Fi,
        stop: "lopeta peruuta_tilaus stop",
        alone: "peruuta poista",
        start: "aloita start tilaa",
        courtesy: "heti kiitos nyt ole_hyva",
        about: "tekstiviestit viestit",
    },
    Words {
        language: Language::Ro,
        stop: "dezabonare dezabonati dezabonati_ma dezabonez stop",
        alone: "anulare anuleaza opreste opriti",
        start: "abonare start",
        courtesy: "acum multumesc te_rog va_rog",
        about: "ma mesaje mesajele sms",
    },
    Words {
        language: Language::Cs,
        stop: "odhlaseni odhlasenie odhlasit odhlaste stop",
        alone: "dost konec prestante ukoncit zrusit",
        start: "prihlasit start",
        courtesy: "dekuji diky hned ihned prosim",
        about: "me mne sms zpravy",
    },
    Words {
        language: Language::Hu,
        stop: "leallitas leiratkozas leiratkozom stop",
        alone: "eleg torles vege",
        start: "feliratkozas start",
        courtesy: "azonnal kerem koszonom most",
        about: "az sms uzenetek",
    },
    Words {
        language: Language::Tr,
        stop: "abonelikten_cik durdur durdurun iptal iptal_edin iptal_et",
        alone: "dur ret yeter",
        start: "basla baslat start",
        courtesy: "hemen lutfen tesekkurler",
        about: "mesaj mesajlari sms",
    },
    Words {
        language: Language::Ru,
        stop: "отказ отписать отписаться отписка отпишите отпишите_меня стоп",
        alone: "конец отмена отменить прекрати прекратите удалить хватит",
        start: "возобновить начать старт",
        courtesy: "немедленно пожалуиста сеичас спасибо",
        about: "все меня мне рассылку смс сообщения",
    },
    Words {
        language: Language::Uk,
        stop: "вiдписатися відмова відписатись відписатися відпишіть",
        alone: "досить кінець припиніть скасувати",
        start: "почати",
        courtesy: "будь_ласка дякую зараз",
        about: "мене повідомлення смс",
    },
    Words {
        language: Language::Ar,
        stop: "الغاء الغاء_الاشتراك اوقف ايقاف توقف توقفوا وقف",
        alone: "كفي",
        start: "ابدء ابدا اشتراك",
        courtesy: "الان رجاء شكرا فضلك من_فضلك",
        about: "ارسال الارسال الرسايل رسايل",
    },
    Words {
        language: Language::Vi,
        stop: "huy huy_dang_ky tu_choi",
        alone: "ngung",
        start: "bat_dau dang_ky",
        courtesy: "cam_on lam_on ngay vui_long xin",
        about: "gui nhan tin tin_nhan",
    },
    // Languages that have no text of ours: they are answered in English.
    Words {
        language: Language::En,
        stop: "odjava prekini διακοπη στοπ הסר הפסק 停止 取消 退订 配信停止 수신거부",
        alone: "",
        start: "",
        courtesy: "请",
        about: "",
    },
];
