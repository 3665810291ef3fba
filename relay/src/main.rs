//! `sallyport-relay`: reads its command line and configuration, runs, turns the result into an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
