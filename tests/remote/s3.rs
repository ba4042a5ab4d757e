//! A service that speaks S3, from PyPI, every package by its digest. It checks signatures and what a key may do.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::harness::{judges::Judges, project, run};

pub struct S3 {
    process: Child,
    endpoint: String,
    /// Its name, and the secret.
    pub key: (String, String),
}

impl S3 {
    /// Starts it on this machine alone, with one bucket `steps`.
    pub fn start() -> S3 {
        let judges = Judges::install("s3", "tests/remote/s3.txt");
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut server = judges.program("moto_server");
        server.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        // As many requests as bucket.py makes.
        server.env("INITIAL_NO_AUTH_ACTION_COUNT", "4").stdout(Stdio::null()).stderr(Stdio::null());
        let mut s3 = S3 { process: server.spawn().unwrap(), endpoint, key: Default::default() };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the S3 service doesn't answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut prepare = judges.python();
        prepare.arg(project().join("tests/remote/bucket.py")).args([&s3.endpoint, "steps"]);
        let said = run(&mut prepare).expect("a bucket");
        let (name, secret) = said.trim().split_once(' ').unwrap();
        s3.key = (name.to_owned(), secret.to_owned());
        s3
    }

    /// Environment of a command that uses it, with this secret.
    pub fn configure(&self, command: &mut Command, secret: &str) {
        command.env("AWS_ENDPOINT", &self.endpoint).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_REGION", "us-east-1").env("AWS_ACCESS_KEY_ID", &self.key.0);
        command.env("AWS_SECRET_ACCESS_KEY", secret);
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
