//! it
mod sim_smsc;
