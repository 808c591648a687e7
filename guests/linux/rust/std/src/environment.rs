//! Arguments, variables, identity.

use std::env;

use crate::Outcome;

pub fn check() -> Outcome {
    println!("arguments: {}", env::args().len());
    // SAFETY: no other thread runs yet.
    unsafe { env::set_var("CHECKED", "a=b") };
    println!("variable: {:?}", env::var("CHECKED"));
    // SAFETY: as above.
    unsafe { env::remove_var("CHECKED") };
    println!("none: {:?}", env::var("CHECKED"));
    println!("some: {}", env::vars_os().count() > 0);
    let program = env::current_exe()?;
    println!("program: {:?}", program.metadata()?.is_file());
    println!("host: {} {}", env::consts::OS, env::consts::FAMILY);
    println!("number: {}", std::process::id() > 0);
    Ok(())
}
