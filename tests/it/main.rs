//! it
mod sim_smsc;
mod vectors_sms;
