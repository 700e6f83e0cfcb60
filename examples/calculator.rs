//! A calculator served in one process and called from another, through shared memory.
//!
//! ```console
//! cargo run --example calculator -- serve
//! cargo run --example calculator -- divide 7 2      # from another terminal
//! ```

use std::error::Error;

use facet::Facet;
use transom::{CallError, Context};

/// What is served. The attribute makes `CalcServer`, `CalcClient` and `CalcBlockingClient` of it.
#[transom::service]
trait Calc {
    /// The sum.
    async fn add(&self, a: i64, b: i64) -> i64;
    /// The quotient, rounded towards zero.
    async fn divide(&self, cx: &Context, a: i64, b: i64) -> Result<i64, DivideError>;
}

/// Why there is no quotient. Any type that derives `Facet` can be an argument, a result or an error.
#[derive(Facet, Debug, PartialEq)]
#[repr(u8)]
enum DivideError {
    ByZero,
    Overflow,
}

struct Calculator;

impl Calc for Calculator {
    async fn add(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    async fn divide(&self, cx: &Context, a: i64, b: i64) -> Result<i64, DivideError> {
        println!("process {:?} divides {a} by {b}", cx.session().peer().pid);
        if b == 0 {
            return Err(DivideError::ByZero);
        }
        a.checked_div(b).ok_or(DivideError::Overflow)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = format!("shm:{}", std::env::temp_dir().join("transom-calculator.sock").display());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => {
            println!("serving at {address} until Ctrl-C");
            tokio::select! {
                served = transom::serve(&address, CalcServer::new(Calculator)) => match served? {},
                interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            }
        }
        ["add", a, b] => {
            let calc: CalcClient = transom::connect(&address).await?;
            println!("{}", calc.add(a.parse()?, b.parse()?).await?);
            Ok(())
        }
        ["divide", a, b] => {
            let calc: CalcClient = transom::connect(&address).await?;
            match calc.divide(a.parse()?, b.parse()?).await {
                Ok(quotient) => println!("{quotient}"),
                Err(CallError::User(DivideError::ByZero)) => println!("not by zero"),
                Err(error) => return Err(error.into()),
            }
            Ok(())
        }
        _ => Err("usage: calculator serve | add A B | divide A B".into()),
    }
}
