//! `sallyport-subscriber`: reads its command line and configuration, runs, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_subscriber::cli::main()
}
