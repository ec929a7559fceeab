//! `telerelay-sim`: one seed with its trace, or many seeds.
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use lexopt::prelude::{Long, ValueExt};
use telerelay_sim::{Mutant, Scenario, command, corners, run};

const HELP: &str = "\
usage: telerelay-sim [--seed N | --from N --seeds N] [--mutant NAME] [--trace]
  --seed N       run one seed
  --seeds N      run so many seeds (1000)
  --from N       beginning with this one (0)
  --mutant NAME  with a bug put in, built with --features mutants: double-claim, paired-without-accept,
                 replay-kept, ack-before-write, old-generation-accepted
  --trace        tell everything that happens
Ends with 1 where a rule of PROTOCOL.md was broken.
";

#[derive(Debug, Default)]
struct Wanted {
    seed: Option<u64>,
    from: u64,
    seeds: Option<u64>,
    mutant: Option<Mutant>,
    traces: bool,
    help: bool,
}

fn main() -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match wanted() {
        Ok(wanted) if wanted.help => out.write_all(HELP.as_bytes()).map(|()| ExitCode::SUCCESS),
        Ok(wanted) => sweep(&wanted, &mut out),
        Err(error) => {
            write!(io::stderr(), "telerelay-sim: {error}\n{HELP}").map(|()| ExitCode::from(2))
        }
    };
    // A reader that has gone is no failure of the run.
    result
        .and_then(|code| out.flush().map(|()| code))
        .unwrap_or(ExitCode::SUCCESS)
}

fn wanted() -> Result<Wanted, lexopt::Error> {
    let mut wanted = Wanted::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seed") => wanted.seed = Some(arguments.value()?.parse()?),
            Long("from") => wanted.from = arguments.value()?.parse()?,
            Long("seeds") => wanted.seeds = Some(arguments.value()?.parse()?),
            Long("mutant") => {
                let mutant = arguments
                    .value()?
                    .parse_with(|name| name.parse::<Mutant>().map_err(|_| "no such mutant"))?;
                if !cfg!(feature = "mutants") {
                    return Err("mutants are there with --features mutants only".into());
                }
                wanted.mutant = Some(mutant);
            }
            Long("trace") => wanted.traces = true,
            Long("help") => wanted.help = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(wanted)
}

fn sweep(wanted: &Wanted, out: &mut impl Write) -> io::Result<ExitCode> {
    let seeds = match wanted.seed {
        Some(seed) => seed..seed + 1,
        None => wanted.from..wanted.from + wanted.seeds.unwrap_or(1_000),
    };
    let (count, mut steps) = (seeds.end - seeds.start, 0);
    let mut happened = BTreeMap::new();
    for seed in seeds {
        let scenario = Scenario::from_seed(seed);
        let outcome = run(&scenario, wanted.mutant, wanted.traces);
        for line in &outcome.lines {
            writeln!(out, "{line}")?;
        }
        if let Some(failure) = &outcome.failure {
            writeln!(out, "seed {seed}: {failure}")?;
            writeln!(out, "{}", command(seed, wanted.mutant))?;
            return Ok(ExitCode::FAILURE);
        }
        if wanted.seed.is_some() {
            writeln!(
                out,
                "seed {seed}: {} steps, {} of virtual time, hash {:016x}",
                outcome.steps, outcome.ended, outcome.hash
            )?;
        }
        steps += outcome.steps;
        for (what, times) in corners(&scenario, &outcome.story) {
            *happened.entry(what).or_insert(0) += times;
        }
    }
    for (what, times) in happened {
        writeln!(out, "{times:8} {what}")?;
    }
    writeln!(out, "{count} seeds, {steps} steps, no rule broken")?;
    Ok(ExitCode::SUCCESS)
}
