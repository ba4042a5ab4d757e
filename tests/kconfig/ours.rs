//! The same questions, answered by this project's reading of Kconfig.

use kconfig::{Fill, Graph, Message, Rejected, Request, Severity};

use super::question::{Answer, Mode, Question};

/// Kconfig files that were read.
pub struct Reading {
    pub graph: Graph,
    pub messages: Vec<Message>,
    /// Name and content of the file that modes start from if they are given nothing.
    pub defaults: Option<(String, Vec<u8>)>,
}

impl Reading {
    pub fn answer(&self, question: &Question) -> Answer {
        let mut request = Request::new(&self.graph);
        let (mut stdout, mut stderr) = told(&self.messages);
        let input = question.input.as_ref().map(|input| (question.input_name(), input));
        let defaults = self.defaults.as_ref().filter(|_| !question.mode.is_fill());
        if let Some((name, input)) = input.or(defaults.map(|(name, input)| (name.as_str(), input))) {
            stderr += &told(&request.read(name, input)).1;
        }
        request.fill(match question.mode {
            Mode::AllNo => Fill::No,
            Mode::AllYes => Fill::Yes,
            Mode::AllMod => Fill::Module,
            _ => Fill::Defaults,
        });
        let solution = request.solve();
        for &symbol in solution.unmet() {
            stderr += &kconfig::unmet_warning(&solution, symbol);
        }
        let config = match question.mode {
            Mode::ListNew => {
                stdout += &solution.new_symbols();
                None
            }
            Mode::SaveDefault => Some(solution.defconfig()),
            _ => Some(solution.dot_config()),
        };
        Answer::new(0, config.map(String::into_bytes), stdout, &stderr)
    }
}

/// What conf says of files that it refuses.
pub fn refusal(Rejected(messages): &Rejected) -> Answer {
    let (stdout, stderr) = told(messages);
    Answer::new(1, None, stdout, &stderr)
}

/// Standard output and standard error.
fn told(messages: &[Message]) -> (String, String) {
    let of = |is_info: bool| {
        let some = messages.iter().filter(|message| (message.severity == Severity::Info) == is_info);
        some.map(|message| format!("{message}\n")).collect::<String>()
    };
    (of(true), of(false))
}
