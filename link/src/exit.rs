//! Exit codes, the same in every program (sysexits.h where it has one). Listed in docs/operating.md.

/// All went well.
pub const OK: u8 = 0;
/// The work was done and something in it is not right.
pub const FAILED: u8 = 1;
/// Nothing moved for as long as the command was willing to wait.
pub const STALLED: u8 = 3;
/// Configuration or command line: every problem was named (EX_USAGE).
pub const CONFIG: u8 = 64;
/// The input is not what it should be (EX_DATAERR).
pub const DATA: u8 = 65;
/// Something the program needs is not there: server, tool, file (EX_UNAVAILABLE).
pub const UNAVAILABLE: u8 = 69;
/// A bug of ours (EX_SOFTWARE).
pub const SOFTWARE: u8 = 70;
/// Another process holds what only one may hold (EX_TEMPFAIL).
pub const BUSY: u8 = 75;
/// What was found is unsafe, and the program refuses to run on it: the server's settings, or this program below the
/// registry's version floor (EX_CONFIG).
pub const UNSAFE: u8 = 78;
