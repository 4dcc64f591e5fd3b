//! The arguments of `voltgate charger`.

use std::path::PathBuf;

use charging::At;
use charging::chargers::messages::Direction;
use charging::stations::ChargerName;
use clap::{Args, Subcommand};
use uuid::Uuid;

#[derive(Debug, Args)]
pub(crate) struct ChargerArgs {
    #[command(subcommand)]
    pub(crate) command: ChargerCommand,
    /// The data directory of `voltgate up` [default: as in DATABASE_URL, or voltgate-data if it exists]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChargerCommand {
    /// List chargers, by name, or those that tried to connect and are not known
    #[command(after_help = "Example: voltgate charger list --offline")]
    List {
        /// Only chargers that are connected
        #[arg(long, conflicts_with_all = ["offline", "unknown"])]
        online: bool,
        /// Only chargers that are not connected
        #[arg(long, conflicts_with = "unknown")]
        offline: bool,
        /// Chargers that tried to connect and are not known
        #[arg(long, conflicts_with = "begins")]
        unknown: bool,
        /// Only chargers whose name begins so
        #[arg(long, value_name = "TEXT")]
        begins: Option<String>,
    },
    /// Show a charger with its connection and its connectors
    #[command(
        after_help = "Exit code: 0 found, 65 there is no such charger\n\nExample: voltgate charger show BER-0001"
    )]
    Show {
        /// The charger's OCPP name
        charger: ChargerName,
    },
    /// Show the messages of a charger, both ways, newest first
    #[command(after_help = "Exit code: 0 found, 65 there is no such charger\n\n\
        Example: voltgate charger messages BER-0001 --action StartTransaction")]
    Messages {
        /// The charger's OCPP name
        charger: ChargerName,
        /// Only messages about this
        #[arg(long)]
        action: Option<String>,
        /// Only those of the charger (in), or those of the gateway (out)
        #[arg(long)]
        direction: Option<Direction>,
        /// Only those from this moment on
        #[arg(long, value_name = "MOMENT")]
        from: Option<At>,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Adopt a charger: it may connect from now on
    #[command(after_help = "Exit code: 0 adopted, 65 refused, such as a charger that is known\n\n\
        Example: voltgate charger adopt BER-0001")]
    Adopt {
        /// The charger's OCPP name
        charger: ChargerName,
        /// The id of the location where it is
        #[arg(long, value_name = "ID")]
        location: Option<Uuid>,
        /// The id of its station: one without a charger, or a new one
        #[arg(long, value_name = "ID")]
        station: Option<Uuid>,
    },
}
