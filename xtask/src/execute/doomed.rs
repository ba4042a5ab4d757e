//! Configurations that can't come about, refused before the first step runs.

use anyhow::{Result, anyhow};

use super::{
    Context, Forecast, LastBuild,
    engine::{kernel_tree, remembered_engine},
    forecast,
    kconfig::{self, Demands},
};
use crate::{
    plan::{Action, Plan},
    report::failure,
};

/// Fails with every configuration of `plan` of which the engine can tell that a request won't survive.
///
/// Only what costs nothing is looked at: configurations that are not in the store though their kernel's source is,
/// and whose tools have been asked before. All others are checked by their own steps.
pub fn refuse_doomed(context: &Context, plan: &Plan, last: &LastBuild) -> Result<()> {
    let plan = plan.only(Action::is_resolve_kconfig);
    let forecasts = forecast(context, &plan, last)?;
    let made_by = |number: usize| match &forecasts[number] {
        Forecast::Reuse { key, record } => Some((*key, record)),
        _ => None,
    };
    let mut doomed = Vec::new();
    for (step, forecast) in plan.steps.iter().zip(&forecasts) {
        let (Action::ResolveKconfig { arch, vtl, all_config, rules, composed }, Forecast::Run { .. }) =
            (&step.action, forecast)
        else {
            continue;
        };
        let demands = Demands { arch: *arch, vtl: *vtl, composed, rules, command_line: None };
        let Some(tree) = kernel_tree(context, &plan, step, made_by)? else { continue };
        // What is wrong with the tree itself is for the step to mend or to tell.
        let Ok(Some(engine)) = remembered_engine(context, &tree, *arch) else { continue };
        let text = engine.solve(all_config).dot_config();
        if let Err(error) = kconfig::judge(&text, &demands, Some((&engine, &tree.path))) {
            doomed.push(error.context(format!("step `{}` would fail", step.name)));
        }
    }
    match doomed.len() {
        0 => Ok(()),
        1 => Err(doomed.remove(0)),
        _ => Err(anyhow!("{}", doomed.iter().map(failure).collect::<Vec<_>>().join("\n"))),
    }
}
