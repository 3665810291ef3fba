//! `sallyport-agent`: reads its command line and configuration, runs, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sallyport_agent::cli::main()
}
