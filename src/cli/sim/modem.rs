//! `nudged sim modem`: its flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::parse_delay;
use crate::sim::fault::Fault;
use crate::sim::modem::{ModemOptions, Place, Vendor};
use crate::sim::smsc::{Delay, Receipts};

#[derive(Debug, clap::Args)]
pub struct ModemArgs {
    /// Link to the pseudo terminal it opens; absent: the terminal's own path is printed
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    link: Option<PathBuf>,
    /// A TCP port instead, as ser2net has it; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Time from Ctrl-Z to +CMGS: 3s, or 1s-4s by chance
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_delay)]
    service_time: Delay,
    #[arg(long, value_name = "NAME", default_value = "Simulated")]
    operator: String,
    /// Its own number
    #[arg(long, value_name = "NUMBER", value_parser = parse_number)]
    number: Option<String>,
    #[arg(long, value_name = "N", value_parser = parse_digits)]
    imei: Option<String>,
    #[arg(long, value_name = "N", value_parser = parse_digits)]
    imsi: Option<String>,
    #[arg(long, value_name = "N", value_parser = parse_digits)]
    iccid: Option<String>,
    /// What the SIM asks for; absent: nothing
    #[arg(long, value_name = "PIN", value_parser = parse_pin)]
    pin: Option<String>,
    #[arg(long, value_enum, default_value = "generic")]
    vendor: VendorArg,
    /// Status reports for messages that ask for one
    #[arg(long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true,
          default_missing_value = "delivered", default_value = "none")]
    receipts: ReceiptsArg,
    /// What every phone that gets a message answers
    #[arg(long, value_name = "TEXT")]
    reply: Option<String>,
    /// no-answer, late, drop-after-submit, throttle, queue-full, reject, garbage, hangup, reboot, sim-full, cms-500,
    /// urc-flood, cdsi-trap, no-prompt or slow at the N-th message, N% of them or every N+
    #[arg(long, value_name = "KIND@N")]
    fault: Vec<Fault>,
    /// One NDJSON line for every message taken, written before it is answered
    #[arg(long, value_name = "FILE")]
    wire: Option<PathBuf>,
    /// HTTP: GET /received /stats, POST /reply /receipt /fault /hangup /plug /deliver /fill /network /reboot
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
    /// Log warnings only
    #[arg(long)]
    pub quiet: bool,
    #[arg(long, hide = true, default_value_t = 0)]
    seed: u64,
    /// For a parent that must not be outlived
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VendorArg {
    Generic,
    Huawei,
    Simcom,
    Quectel,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReceiptsArg {
    Delivered,
    Failed,
    Mixed,
    None,
}

pub fn options(args: ModemArgs) -> ModemOptions {
    let usual = ModemOptions::default();
    ModemOptions {
        place: match args.listen {
            Some(address) => Place::Tcp(address),
            None => Place::Pty { link: args.link },
        },
        control: args.control,
        vendor: match args.vendor {
            VendorArg::Generic => Vendor::Generic,
            VendorArg::Huawei => Vendor::Huawei,
            VendorArg::Simcom => Vendor::Simcom,
            VendorArg::Quectel => Vendor::Quectel,
        },
        operator: args.operator,
        number: args.number.unwrap_or(usual.number),
        imei: args.imei.unwrap_or(usual.imei),
        imsi: args.imsi.unwrap_or(usual.imsi),
        iccid: args.iccid.unwrap_or(usual.iccid),
        pin: args.pin,
        service_time: args.service_time,
        receipts: match args.receipts {
            ReceiptsArg::Delivered => Receipts::Delivered,
            ReceiptsArg::Failed => Receipts::Failed,
            ReceiptsArg::Mixed => Receipts::Mixed,
            ReceiptsArg::None => Receipts::None,
        },
        routes_reports: usual.routes_reports,
        reply: args.reply,
        faults: args.fault,
        wire: args.wire,
        seed: args.seed,
    }
}

fn parse_digits(text: &str) -> Result<String, String> {
    let fits = (1..=22).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(format!("{text:?} is not 1 to 22 digits")) }
}

fn parse_number(text: &str) -> Result<String, String> {
    parse_digits(text.strip_prefix('+').unwrap_or(text)).map(|_| text.to_owned())
}

fn parse_pin(text: &str) -> Result<String, String> {
    let fits = (4..=8).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("a PIN is 4 to 8 digits".into()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ModemArgs,
    }

    fn parse(flags: &str) -> Result<ModemOptions, String> {
        let all = ["modem"].into_iter().chain(flags.split_whitespace());
        Program::try_parse_from(all).map(|program| options(program.args)).map_err(|e| e.to_string())
    }

    #[test]
    fn the_flags_of_the_contract_are_read() {
        let options = parse(
            "--link ./modem1 --service-time 1s-4s --operator Net --imei 350 --pin 1234 --vendor huawei --receipts \
             --reply STOP --fault no-answer@3 --fault sim-full@1 --wire w --control 127.0.0.1:0",
        )
        .unwrap();
        assert_eq!(options.place, Place::Pty { link: Some("./modem1".into()) });
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(4));
        assert_eq!(options.service_time, Delay { least, most });
        assert_eq!((options.vendor, options.receipts), (Vendor::Huawei, Receipts::Delivered));
        assert_eq!((options.imei.as_str(), options.pin.as_deref()), ("350", Some("1234")));
        assert_eq!((options.reply.as_deref(), options.faults.len()), (Some("STOP"), 2));
        assert_eq!(parse("--receipts=mixed").unwrap().receipts, Receipts::Mixed);
        assert_eq!(parse("").unwrap().receipts, Receipts::None);
        let address = "127.0.0.1:0".parse().unwrap();
        assert_eq!(parse("--listen 127.0.0.1:0").unwrap().place, Place::Tcp(address));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (flags, why) in [
            ("--pin 12", "a PIN is 4 to 8 digits"),
            ("--imei x", "is not 1 to 22 digits"),
            ("--number +", "is not 1 to 22 digits"),
            ("--fault explode@1", "no fault is called"),
            ("--link m --listen 127.0.0.1:0", "cannot be used with"),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(why), "{flags}: {error}");
        }
    }
}
