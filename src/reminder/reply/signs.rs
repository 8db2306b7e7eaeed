//! What the hold rule looks for, all languages in one: folded, sorted, `_` for the space inside a phrase.
//!
//! A sign is no verdict. The lists err on the side of a person's look: a stop that is missed goes on being
//! texted, a hold costs a glance. [`PLAIN`] is what takes a text out of doubt if nothing else puts it there.

/// Mean stop to a reader, wherever they stand.
pub(super) const STRONG: &str = "\
    abbestell abbestelle abbestellt abgemeldet alkaa_lahettako alkaa_laittako apaguem aramayin arrete_de \
    arretez assez aufhoren austragen basta_con basta_cosi basta_ya belastig belastigen belastigt \
    belastigung birakin bloccato blocco_il_numero block_this block_you blockera blockiere blockieren \
    blocking bloquear bloqueo bloquer borrame borren borrenme bother bothering buzz_off cancellate \
    cancellatemi cease_and_desist ceasing cesser cessez cut_it_out dajcie_mi dajcie_spokoj deixem deja_de \
    dejad dejen dejenme dejte_mi_pokoj delete_me deleteme denuncia denunciar denuncio deranger derangez \
    desabonnez desapuntar desinscrivez did_not_agree did_not_sign_up didnt_agree didnt_sign_up \
    disiscrivere disiscrivetemi disturb disturbare do_not_call_list do_not_contact do_not_use \
    done_with_this doneren dont_bother dont_contact dont_use dont_want_this dsgvo dung_nhan effacez \
    einstellen elegem eliminate eliminen eliminenme enough_already enough_is_enough entfern entferne \
    entfernen entfernt es_reicht fastidien fcc fed_up fiche_moi fichez finiscila finitela forget_me foutez \
    ftc fuck_off fuck_u fuck_you gave_you_my gdpr genug_jetzt get_lost get_my_number give_it_a_rest \
    go_away going_to_block gondermeyin gonna_block got_my_number got_the_wrong_person haal_me haal_mij \
    haal_mijn had_enough hagyjanak hagyjatok harass harassed harassing harassment harcelement harceler \
    harta harto hartos have_my_number hold_op hor_auf horen_sie_auf horen_sie_damit hort_auf hou_op \
    houd_op how_did_you_get ik_wil_niet ikke_interesseret ikke_interessert im_blocking im_done im_out \
    incomodar inte_intresserad istemiyorum jattakaa jetzt_reicht jog_on keep_out khong_muon khong_nhan \
    klacht knock_it_off kundige_einwilligung la_meg laat_me_met_rust lachez lad_mig laisse_moi laissez_moi \
    lam_phien lamna_mig lasati_ma lasciami lasciatemi lass_mich lassen_sie_mich lasst_mich lastig lat_mig \
    lay_off leave_me leave_me_alone leave_us lopettakaa los_met_rust losch loschen loscht lose_my_number \
    lose_this_number mag_nicht_mehr marre me_apague me_borren me_deixe me_deixem me_dejen me_tirem \
    mich_in_ruhe mir_reicht mochte_nicht_mehr molest molestar moleste molesten molestia my_consent \
    n_ecrivez_plus n_envoyez_plus nao_envie nao_enviem nao_envies nao_mande nao_mandem nao_me nao_quero \
    ne_irjanak ne_kuldjenek ne_zaklass nechci nechte_me nee_bedankt nein_danke nekanie nepiste neposilejte \
    never_again never_agreed never_asked never_signed nicht_interessiert nie_chce nie_dziekuje \
    nie_jestem_zainteresowany nie_pisz nie_piszcie nie_wysylaj nie_wysylajcie nie_zycze \
    niet_geinteresseerd nimm_mich_raus no_deseo no_gracias no_grazie no_interesa no_jodan no_me_interesa \
    no_molestar no_molesten no_more_messages no_more_reminders no_more_sms no_more_texts no_quiero \
    no_soliciting no_thank_you no_thanks no_thx non_contattatemi non_disturbate non_interessato non_merci \
    non_mi_interessa non_voglio not_agree not_for_this not_give_permission not_interested nu_ma_mai nu_mai \
    nu_vreau number_is_private obtezovat obtezujete odczep odpieprz odstan odwal off_the_list \
    off_this_list off_ur_list off_your_list onderlassen ophouden opt_me oublie_moi oubliez pare_de \
    parem_de pas_interesse permission perturbar piss_off plangere plus_de_message plus_de_sms \
    plus_de_texto poistakaa przestan przestancie quit_it quitame quiteme quitenme rahatsiz \
    rahatsiz_etmeyin ras_le_bol reicht_jetzt remove_me retire_moi retirez rgpd rimuovete rimuovetemi \
    robinson ruhe sacame sacarme saquen saquenme schluss schrijf_me_uit scoateti shut_it shut_up sick_of \
    sikayet silin skicka_inte skip_me skreslcie sluta_skicka smettete smettetela smetti smettila spam \
    spammen spammer spamming stalker stalking stergeti stop_ermee streich streichen streicht sue_you \
    supprimez ta_bort_mig ta_bort_mitt take_me_off take_off_list thats_enough tire_meu tired_of tirem_me \
    tirem_meu togliete toglietemi toglimi trag_mich_aus tragt_mich_aus uitschrijf unerwunscht unsubscribed \
    unterlassen unterlassung untersage unwanted usunac usuncie va_te_faire val_me_niet verbiete \
    vergesst_mich verpiss verpisst verschone verschonen verschont verwijder verwijderen verwijdert verzieh \
    vete wegblijven wer_hat_ihnen_meine widerruf widerrufe will_block will_das_nicht will_nicht_mehr \
    withdraw_consent withdraw_my_consent withdrawn_consent wykreslcie wypisac ya_basta ya_no_me yazmayin \
    zablokuje zglosze zostawcie досить достали жалоба заблокирую надоели не_беспокоите не_звоните не_надо \
    не_пишите не_пишіть не_присылаите не_турбуите не_хочу оставьте отвали отвалите отстань отстаньте \
    прекрати прекратите припиніть уберите удалите хватит احذف احذفوا ازعاج بلاغ توقفوا رسالة_اخري كفي \
    لا_اريد لا_ترسل لا_ترسلوا";

/// Ceasing and removing: a sign beside [`MESSAGE`].
pub(super) const CEASE: &str = "\
    abmelden again_and_again another any_more anymore apagar arreter aufhoren avoid baja beenden \
    besser_nicht block blocked blockiert bloqueado borrar cancelar cancellare cease cesse chop dejar \
    delete deleted deletes desist discontinue dung durdur eliminar eliminare email_me email_only end \
    ending enlever erase exclude fed_up finish fjern forget further get_me get_rid halt instead kaldir \
    kill koniec last_time lopeta lose mail_only ngung nur_noch_per odstranit off one_more only only_email \
    opri oprit opt parar poista quit quitar quitting raus refuse remove removed remover removing retirer \
    rid sair sick_of sil sin skonczcie slet slut smazat smettere sterge stop stopped stoppen stopping \
    strike supprimer suspend ta_bort take terminate tirar tired_of togliere torol toroljek uitschrijven \
    unlist unsubscribe usun weg weghalen weitere weiteren wykreslic xoa zrusit видалити прекратить убрать \
    удалить ايقاف حذف وقف";

/// Saying no: a sign beside [`MESSAGE`].
pub(super) const NOT: &str = "\
    aucun aucune bez cant didnt_ask do_not doesnt dont geen hayir ikke inga ingen inte jamais jamas kein \
    keine keinen keinerlei khong mai n nao ne nem nenhum nenhuma never nicht nie niemals niet nikdy nimmer \
    ninguna ninguno no non nooit not nothing nu nunca pas plus sans sem senza shouldnt wont wouldnt zadne \
    zadnych zero без бол больше не ні لا";

/// Messages, the list and the ways to reach somebody.
pub(super) const MESSAGE: &str = "\
    anrufen anschreiben benachrichtigung benachrichtigungen bericht berichten besked beskeder bugging call \
    calling calls consent contact contactar contacted contacten contacter contacting contacto contattare \
    contattarmi contattatemi data_base database daten datenbank dati datos donnees ecrire ecrivez \
    einwilligung enviando enviar envie enviem envien envios envoi envoyer envoyez erinnert erinnerung \
    erinnerungen escreva escrevam escrever escriban escribir escribirme fichier handynummer inviare \
    inviarmi inviate inviatemi kontakt kontakta kontakte kontaktieren kontaktiert kontaktovat kontaktu \
    lijst list lista liste listing lists mail mandar mandate mande manden meddelanden meddelelser mensagem \
    mensagens mensaje mensajes mesaj mesaje mesajlar message messagerie messages messaggi messaggio \
    messaging mitteilungen msg msgs msj nachricht nachrichten nerven nhan_tin notification notifications \
    notified notify nr numara numarami number numbers numer numero nummer numru ping pinging pisac pisat \
    pisz piszcie posilat posta psat rappel rappeler rappels recordatorio recordatorios remind reminder \
    reminders reminding schick schicken schickt schreib schreiben schreibt schrijven scrivere scrivermi \
    scrivete scriveteci scrivetemi send sende senden sendet sending sends skicka skriva sms smse smsek \
    smses smsow smsu smsy so_cua_toi so_nay solleciti sollecito tekst teksten telefon telefonnummer \
    telefono telephone text textat texted texter texting texto textos texts tin tin_nhan torpedo txt txts \
    uzenet uzenetek viesti viestit whatsapp wiadomosc wiadomosci write writing wysylac wysylajcie zprav \
    zprava zpravy звонить написать номер писать пишите присылаите присылать рассылка рассылки рассылку смс \
    сообщение сообщении сообщения الرسايل القايمة رسالة رسايل رقم رقمي";

/// Threats of what follows a further text.
pub(super) const THREAT: &str = "\
    abogado advocaat advogado adwokat again anwalt anzeige attorney authorities avocat avvocato blockieren \
    complain complaint court denuncia ftc gericht lawsuit lawyer legal police policia policja polizei \
    polizia regret report reported reporting solicitor sue suing tribunal verbraucherschutz \
    verbraucherzentrale watchdog";

/// Openings of the conditions such threats begin with.
pub(super) const IF: &str = "\
    als anders else falls if jesli jezeli keep next_time noch_einmal once_more one_more one_more_time or \
    otherwise otra_vez se si sinon sonst wenn если еще";

/// Phrases with a stop word that are plainly about something else; taken out before the signs are sought.
pub(super) const APART: &str = "\
    a_fine a_la_fin alla_fine am_ende at_the_end back_end bus_stop busstop by_end by_the_end caja_alta \
    cancel_anytime cancel_the_payment da_parte_di dead_end didnt_get didnt_receive do_not_cancel \
    dont_cancel dont_end dont_quit end_date end_of end_of_day end_of_month end_of_the_day end_of_the_month \
    end_of_the_week end_of_this_month end_of_this_week end_of_week ende_april ende_august ende_der \
    ende_der_woche ende_des ende_des_monats ende_dezember ende_dieser ende_dieses ende_februar ende_januar \
    ende_juli ende_juni ende_mai ende_marz ende_monat ende_nachsten ende_nachster ende_november \
    ende_oktober ende_september ende_vom ende_woche entro_fine falsche_nummer fel_nummer fim_de_semana \
    fim_do fim_do_mes fin_de fin_de_mes fin_de_semaine fin_de_semana fin_del fin_del_mes fin_du \
    fin_du_mois fin_mars fine_giornata fine_mese fine_settimana forkert_nummer front_end full_stop \
    gas_stop gresit_numarul in_the_end konca_miesiaca konca_tygodnia koncem_mesice konec_mesice \
    koniec_miesiaca mauvais_numero month_end na_konci na_koniec never_got never_received nicht_bekommen \
    nicht_erhalten nicht_meine_nummer nie_bekommen nie_dostalem nie_otrzymalem nie_ten_numer \
    niet_ontvangen no_es_mi_numero no_recibi no_stop non_ho_ricevuto non_stop nonstop not_my_number \
    not_received not_the_right_number numero_equivocado numero_errado numero_sbagliato one_stop \
    pas_le_bon_numero pas_recu pit_stop quit_my_job quit_smoking quit_the_job quit_work sans_arret \
    shop_stop slutet_av spatny_cislo stop_at_the stop_at_your stop_by stop_in_the stop_in_to \
    stop_in_tomorrow stop_off_at stop_over stop_payment stop_payments stopover stopped_at stopped_by \
    stopping_by the_end_of til_slutt till_slut train_stop truck_stop verkeerd_nummer verkeerde_nummer \
    week_end weekend whistle_stop wrong_nr wrong_number year_end zly_numer";

/// Words of a reply about money, time, help, a mistake or a choice, and the small words of any answer.
pub(super) const PLAIN: &str = "\
    accept accord account ack address adios afford afternoon agree agreed agreement ahoj ai_day aide aiuto \
    ajuda ajutor alles_klar already am_platit amanha amount ano answer antwort apartment appeler \
    appointment apua arbeit arbeitslos argent arrange attorney aujourd_hui ay ayer ayuda azi back balance \
    banco banco_do bani banii bank banque bao_nhieu bedankt bedrag begrepen beloeb belopp betaal betaald \
    betala betalar betalat betalen betaler betaling betalt betrag bezahle bezahlen bezahlt bezrobotny bill \
    billing boa_tarde boleto bom_dia bonifico bonjour bonsoir borc borcu bring bugun buna buonasera \
    buongiorno bus_stop busy buy bye c_est call_back call_me cam_on can_i can_you cand cant_afford \
    cant_pay capito card carsamba carte cash castka cat certo check cheers cheque cheque_envoye chi \
    chomage ciao cine claro combien come comment como como_faco company compris compte consigo conta \
    contestare contestation conteste contesto conto cool copy could_i credit csutortok ctvrtek cuando \
    cuanta cuanto cuenta cum cuma cumartesi cuota cuotas customer czesc czwartek d_accord da_thanh_toan \
    da_tra dad dale dank danke date daughter de_ce deal debit debo debt deceased dekuji demain deposit \
    desempregado details deuda devo dia did didnt_get died dienstag dimanche dinero dinheiro dinsdag \
    disagree disdetta disdetto disoccupato dispute disputed divida dlaczego dnes do_you dobry_den does \
    domani domenica domingo donde donderdag done donnerstag dos due dun dziekuje dzien_dobry dzis dzisiaj \
    echeance efectivo eilen end_of ende_des enlace entendido equivocada equivocado erreur errore eur euro \
    euros euros_par evening evet extension factura factura_e facture factuur faktura faktura_betald \
    faktura_cislo fakture faktury fallig falsch falsche faq father fattura fatura fatura_ne fee fees \
    fehler fel fin_de fin_du fine fine_mese fizetek fizetes fizettem fois forfallodag fout frau fredag \
    free freitag friday frist funciona funktioniert funziona gave gehalt geht_auch gekundigt geld geld_heb \
    gerne gestern gezahlt giovedi gisteren goed goedemorgen good goodbye got_it gracias grazie great \
    gresit gruss grusse gut guten hafta haha half hallo hardship he_will hej hello help her hetfo heute \
    hey hi hier hilfe his hjaelp hjalp hmm hoa_don hoe hoeveel hoje hola holnap hom_nay hom_qua hospital \
    hours how hoy hulp huomenna hur husband i_am i_have i_will iban iban_qual idag ideal ieri ieri_am igar \
    igen ile ill im_at imorgon importe importo info installment installments insurance interest invoice \
    invoice_again irrtum is_this isnt it_is ive ja jak jak_mam jawohl jeudi jo job joi jueves jutro karen \
    karte kdo kdy kedd kein_problem khi_nao ki_ez kids kiedy kiitos kim kolik konto konto_bankowe \
    kontonummer koszonom krank kto kuka kwota kylla laina lasku lastschrift later lavoro lawyer lazim lien \
    link listo llamar loan lohn lol lon long_answer loon lordag lost lundi lunedi lunes luni ma_este maand \
    maandag mahnung mail mailed maine maksan maksettu maksoin manad manana mandag mann marche mardi \
    martedi martes marti mean mennyi merci mercoledi mercredi merhaba mes mes_que mese miercoles miercuri \
    miesiac mikor milloin mine minimum minute minutes mistake mittwoch moi moin mois mom moment monat \
    monats monday money montag montant month monthly monto morgen morning mother moved multumesc mutter \
    name nar nasil ne_kadar ne_zaman nedele neden new_phone ngay_mai nham nham_so nice niedziela noon \
    not_karen not_mine noted numer_zly obrigada obrigado odedim odeme odendi odeyecegim odpowiedz oggi ok \
    okay ola omyl on_it on_my_way online onsdag ontem optie option order ordered ou_est oui overgemaakt \
    overmorgen owe owed own pagado pagamento pagamento_feito pagamos pagamos_ontem pagar pagara pagare \
    pagare_domani pagarei pagata pagato paghero pago pague pague_ayer paguei paid paiement paierai \
    paljonko para_yok param parcela parcelar parcelas part passed_away password patek pay paycheck payday \
    paye payed payee payer payerai paying payment payments paypal pays pazar pazartesi pengar pengene \
    penize pentek penz perche perfect perfekt persembe person phone piatek pieniadze pieniedzy ping pix \
    place plan plata platesc platil platit platit_maine plazo plazos please_call pomoc pomylka pondeli \
    pong poniedzialek por_que porque portal possible post pourquoi praca prelevement prima problem proc \
    promise przelalem przelew quand quando_devo quando_vence quanto quanto_devo quarta que_es quem \
    question qui quien quincena quinta rachunek rakning rata rate rate_lunare rate_mensili rate_na raten \
    ratenzahlung raty ready receipt receive received received_it rechnung rechnungen recibo refund regle \
    reglement regler regning rekening rent reply reponse resend resposta respuesta returned risposta roger \
    rozumiem ruckruf sabado sabato salaire salario salaris salary saldo sali salut samedi samstag sao \
    saturday sbagliato scadenta scadenza se_tra segitseg segunda semaine semana semana_que send_invoice \
    sent servus settimana settle settled sexta she_will si sick_leave sim sir sobota sobote sobotu soldi \
    son sondag sonntag soon sorry splatky splatnost sroda srode statement stimmt stipendio stop_by \
    stopped_by stopping_by streda stundung subscription suma sunday super sure szamla szerda szia tack tak \
    taksit tamam tanaan tarjeta tegnap ten_numer terca termijn termijnen termin tesekkurler test thang \
    thanh_toan thank thanks the_end_of thursday tien time tisdag tmrw to_nie_ten today tomorrow tonight \
    tonite torsdag tra_tien trabajo trabalho transfer transferencia transferred travail tres tschuss tuan \
    tuesday tydzien uberweise uberweisung uberwiesen understand understood unemployed uno utery va_bene \
    vad vale valor vandaag vang varfor vater vcera vecka vem vencimento vendredi venerdi venga venmo \
    verbunden verkeerd verkeerde vertrag viernes vineri virement vrijdag waarom wages wait waiting wann \
    wanneer warum was wat wczoraj we_will wednesday week weekend welche welcome wer werkloos werkt what \
    when where which who who_is why widerspruch wie wieviel wife will_do will_pay will_send wo woche \
    woensdag work world worries wrong wtorek wyplacie wyplata xin_chao yanlis yardim yarin yeah yep yes \
    yesterday yup yw zahle zahlen zahlung zaleglosc zaplace zaplaceno zaplacilam zaplacilem zaplacone \
    zaplacony zaplatil zaplatila zaplatim zaterdag zelle zitra zondag воскресенье вторник вчера гроші да \
    денег деньги долг дякую завтра заплатил заплачу зарплата здравствуите как когда коли кто ладно месяц \
    неделю нет_денег оплата оплатил оплатила оплачено оплачу ошибка ошиблись помощь понедельник почему \
    привет привіт пятница пятницу сегодня сколько скільки спасибо сплатив сплачу среда среду субботу сумма \
    счет так хорошо хто четверг ادفع الدفع السلام الفاتورة المال المبلغ الموعد اليوم امس خطا دفع دفعت دين \
    سادفع شكرا غدا فاتورة قسط كم كيف لماذا مبلغ متي مرحبا مساعدة من_انت نعم";
