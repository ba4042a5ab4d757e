//! Artifacts of two builds: what a user gets, whatever steps led there.

use std::path::Path;

use anyhow::Result;
use difference::{Comparison, Sides};
use serde::Serialize;

use super::{judge::Made, look::compare, reference::Reference};
use crate::{
    plan::{Artifact, Plan},
    store::OutputKind,
};

/// What became of one artifact.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct JudgedArtifact {
    pub name: String,
    #[serde(flatten)]
    pub verdict: ArtifactVerdict,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum ArtifactVerdict {
    Same,
    Differs {
        /// None where it isn't there to be looked into.
        comparison: Option<Comparison>,
    },
    /// It differs by an artifact that it is made of, which was looked into.
    Follows,
    /// The other side has none of this name.
    MissingThere,
    /// Only the other side has one.
    MissingHere,
}

/// Of two builds here, by names like `kernel`, or `PROFILE/kernel` of several profiles; where they differ inside is told
/// with their steps.
pub fn again(plan: &Plan, ours: &[Made], theirs: &[Option<Made>]) -> Vec<JudgedArtifact> {
    let is_of_several = plan.artifacts.windows(2).any(|two| two[0].profile != two[1].profile);
    let judged = plan.artifacts.iter().map(|artifact| {
        let digest = |made: &Made| made.digest(&artifact.output);
        let verdict = match theirs[artifact.step].as_ref().map(digest) {
            None => ArtifactVerdict::MissingThere,
            Some(theirs) if theirs == digest(&ours[artifact.step]) => ArtifactVerdict::Same,
            Some(_) => ArtifactVerdict::Differs { comparison: None },
        };
        let name = match is_of_several {
            true => format!("{}/{}", artifact.profile, artifact.name),
            false => artifact.name.clone(),
        };
        JudgedArtifact { name, verdict }
    });
    judged.collect()
}

/// Of a build here and somebody else's manifest. Files beside that are looked into, those first that others are made
/// of; packed ones are unpacked into `folder`. With `is_whole`, the plan is of all that the profile has.
pub fn against(
    plan: &Plan,
    made: &[Made],
    reference: &Reference,
    is_whole: bool,
    sides: &Sides,
    folder: &Path,
) -> Result<Vec<JudgedArtifact>> {
    let mut looked_into = vec![false; plan.steps.len()];
    let mut artifacts: Vec<&Artifact> = plan.artifacts.iter().collect();
    artifacts.sort_by_key(|artifact| artifact.step);
    let mut judged = Vec::new();
    for artifact in artifacts {
        let ours = &made[artifact.step];
        let verdict = match reference.output(&artifact.name) {
            None => ArtifactVerdict::MissingThere,
            Some(output) if ours.digest(&artifact.output) == Some(output.sha256) => ArtifactVerdict::Same,
            Some(_) if is_made_of(plan, artifact.step, &looked_into) => ArtifactVerdict::Follows,
            Some(output) => {
                let theirs = reference.file(output, folder)?;
                let both = ours.folder.as_ref().map(|folder| folder.join(&artifact.output)).zip(theirs);
                let comparison = both.map(|(ours, theirs)| compare(OutputKind::File, &ours, &theirs, sides));
                looked_into[artifact.step] |= comparison.is_some();
                ArtifactVerdict::Differs { comparison: comparison.transpose()? }
            }
        };
        judged.push(JudgedArtifact { name: artifact.name.clone(), verdict });
    }
    if is_whole {
        let is_here = |name: &str| plan.artifacts.iter().any(|artifact| artifact.name == name);
        let others = reference.outputs().iter().filter(|output| !is_here(&output.name));
        judged.extend(others.map(|output| JudgedArtifact {
            name: output.name.clone(),
            verdict: ArtifactVerdict::MissingHere,
        }));
    }
    Ok(judged)
}

/// Whether a step reads, by way of others, what one of `steps` makes.
fn is_made_of(plan: &Plan, step: usize, steps: &[bool]) -> bool {
    plan.steps[step].upstream().any(|before| steps[before] || is_made_of(plan, before, steps))
}
