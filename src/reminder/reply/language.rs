//! The languages in which a reply may ask us to stop, and what we answer in each.
//!
//! The confirmation goes out once, promises no more than it keeps and fits one segment: GSM 7-bit where the
//! language can be written in it, else UCS-2 of at most 70 characters.

use serde::{Deserialize, Serialize};

/// The language of the word that decided, an ISO 639-1 code in lower case on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Ar,
    Cs,
    Da,
    De,
    En,
    Es,
    Fi,
    Fr,
    Hu,
    It,
    Nl,
    Pl,
    Pt,
    Ro,
    Ru,
    Sv,
    Tr,
    Uk,
    Vi,
}

impl Language {
    pub const ALL: [Language; 19] = [
        Language::Ar,
        Language::Cs,
        Language::Da,
        Language::De,
        Language::En,
        Language::Es,
        Language::Fi,
        Language::Fr,
        Language::Hu,
        Language::It,
        Language::Nl,
        Language::Pl,
        Language::Pt,
        Language::Ro,
        Language::Ru,
        Language::Sv,
        Language::Tr,
        Language::Uk,
        Language::Vi,
    ];

    /// What a person is told once after an opt-out, in one segment, without promotion (47 CFR
    /// 64.1200(a)(12) allows one text, and START is the way back).
    pub fn stop_confirmation(self) -> &'static str {
        match self {
            Language::Ar => "تم إلغاء اشتراكك ولن تصلك رسائل منا. للعودة أرسل START.",
            Language::Cs => "Zpravy jsou zruseny, dalsi vam neposleme. Pro obnoveni odpovezte START.",
            Language::Da => "Du er afmeldt og får ikke flere beskeder fra os. Svar START for at fortryde.",
            Language::De => {
                "Sie sind abgemeldet und erhalten keine weiteren Nachrichten von uns. Mit START wieder anmelden."
            }
            Language::En => {
                "You are unsubscribed and will receive no more messages from us. Reply START to undo this."
            }
            Language::Es => {
                "Se ha dado de baja y no recibirá más mensajes nuestros. Responda START para volver."
            }
            Language::Fi => "Tilaus on peruttu, emme lähetä enää viestejä. Peru vastaamalla START.",
            Language::Fr => {
                "Vous êtes désinscrit et ne recevrez plus de messages de notre part. Répondez START pour revenir."
            }
            Language::Hu => "Leiratkozott, nem küldünk több üzenetet. Visszavonás: START.",
            Language::It => {
                "La sua iscrizione è annullata: non riceverà altri messaggi. Risponda START per riattivarli."
            }
            Language::Nl => {
                "U bent afgemeld en ontvangt geen berichten meer van ons. Antwoord START om terug te komen."
            }
            Language::Pl => "Wypisano. Nie wyslemy wiecej wiadomosci. Aby wrocic, odpisz START.",
            Language::Pt => "Cancelado: nao vai receber mais mensagens nossas. Responda START para voltar.",
            Language::Ro => {
                "V-ati dezabonat si nu veti mai primi mesaje de la noi. Pentru revenire raspundeti START."
            }
            Language::Ru => "Вы отписаны, сообщений больше не будет. Вернуть: START.",
            Language::Sv => {
                "Du är avanmäld och får inga fler meddelanden från oss. Svara START för att ångra."
            }
            Language::Tr => {
                "Aboneliginiz iptal edildi, artik mesaj gondermeyecegiz. Geri almak için START yazin."
            }
            Language::Uk => "Вас відписано, повідомлень більше не буде. Повернути: START.",
            Language::Vi => "Ban da huy dang ky va se khong nhan tin nhan nua. Tra loi START de nhan lai.",
        }
    }
}
