//! The program that talks to remote stores, `vtlforge-remote`: a member of the workspace that is built when a store is first
//! named, since few need it and it takes longer to compile than this one.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use release::remote::{Answer, Request};

use crate::{
    execute::Tools,
    host::command::Limits,
    member::{Member, member},
    report::Reporter,
};

const PROGRAM: &str = "vtlforge-remote";

pub struct Client {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// Builds the program if need be, starts it, and has it open the store.
    pub fn start(tools: &Tools, address: &str, reporter: &Reporter) -> Result<Client> {
        let member = member(PROGRAM)?;
        build(tools, &member, reporter)?;
        // It inherits the environment, which is where it finds keys and tokens.
        let mut command = Command::new(&member.program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process =
            command.spawn().with_context(|| format!("can't run {}", member.program.display()))?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("it has no standard output")?);
        let mut client = Client { process, requests, answers };
        match client.ask(&Request::Open { address: address.to_owned() })? {
            Answer::Done => Ok(client),
            Answer::Failed { why } => bail!(why),
            other => bail!("it answers {other:?} when it is to open a store"),
        }
    }

    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        let gone = || format!("{PROGRAM} has ended");
        let line = serde_json::to_string(request)? + "\n";
        let requests = self.requests.as_mut().with_context(gone)?;
        requests.write_all(line.as_bytes()).and_then(|()| requests.flush()).with_context(gone)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer).with_context(gone)? == 0 {
            bail!(gone());
        }
        serde_json::from_str(&answer).with_context(|| format!("{PROGRAM} answers {answer:?}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It ends with its standard input.
        self.requests = None;
        let _ = self.process.wait();
    }
}

fn build(tools: &Tools, member: &Member, reporter: &Reporter) -> Result<()> {
    if !member.program.exists() {
        reporter
            .note("  remote building the program that talks to remote stores; that is once, a minute or two");
    }
    let toolchain = tools.toolchain()?;
    let host = tools.host();
    let command = host.rust_command(&toolchain.cargo).envs(host.network()).env("RUSTC", &toolchain.rustc);
    let command =
        command.env("CARGO_TERM_COLOR", "never").directory(&member.workspace).args(&member.arguments);
    command.read(Limits::default()).context("the program that talks to it can't be built")?;
    Ok(())
}
