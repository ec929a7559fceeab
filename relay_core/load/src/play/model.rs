//! Screen models, `telerelay.model/1`: how a session's messages are spread over time, without any content (docs/LOADTEST.md, Screen models).
use serde::Deserialize;

use super::chance::SplitMix;
use crate::LoadError;
use crate::exchange::MESSAGE_MOST;

const SCHEMA: &str = "telerelay.model/1";
const STATES_MOST: usize = 8;
const KNOTS_MOST: usize = 256;
const STAY_MOST_MS: u64 = 3_600_000;
const GAP_MOST_US: u64 = 3_600_000_000;

/// How a session's screen behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    schema: String,
    name: String,
    /// What was recorded, for a person.
    #[serde(rename = "source")]
    _source: String,
    pub(super) states: Vec<State>,
}

/// What a person does for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    name: String,
    /// How often its turn comes, against the others'.
    pub(super) weight: f64,
    pub(super) stay_ms: Table,
    /// Viewer to desktop.
    pub(super) up: Option<Way>,
    /// Desktop to viewer.
    pub(super) down: Option<Way>,
}

/// What one end says in a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Way {
    /// Until its next message.
    pub(super) gap_us: Table,
    /// How long that is.
    pub(super) bytes: Table,
}

/// A quantile function: values at rising probabilities from 0 to 1, straight lines in between.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Table(Vec<(f64, u64)>);

impl Model {
    /// The model of a JSON text.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let model: Self =
            serde_json::from_str(text).map_err(|error| LoadError::Model(error.to_string()))?;
        match model.fault() {
            Some(fault) => Err(LoadError::Model(format!("{}: {fault}", model.name))),
            None => Ok(model),
        }
    }

    fn fault(&self) -> Option<String> {
        if self.schema != SCHEMA {
            return Some(format!("its schema is not {SCHEMA}"));
        }
        if !(1..=STATES_MOST).contains(&self.states.len()) {
            return Some(format!("it has 1 to {STATES_MOST} states"));
        }
        self.states
            .iter()
            .find_map(|state| Some(format!("{}: {}", state.name, state.fault()?)))
    }
}

impl State {
    fn fault(&self) -> Option<String> {
        // Written so that it refuses what is no number.
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Some("its weight is not above 0".to_owned());
        }
        let ways = [("up", &self.up), ("down", &self.down)].into_iter();
        let ways = ways.filter_map(|(name, way)| Some((name, way.as_ref()?)));
        let stays = self.stay_ms.fault(1, STAY_MOST_MS);
        stays.map(|fault| format!("stay_ms: {fault}")).or_else(|| {
            ways.into_iter()
                .find_map(|(name, way)| Some(format!("{name}: {}", way.fault()?)))
        })
    }
}

impl Way {
    fn fault(&self) -> Option<String> {
        let gaps = self.gap_us.fault(0, GAP_MOST_US).or_else(|| {
            let never = self.gap_us.0.last()?.1 == 0;
            never.then_some("no time would ever pass".to_owned())
        });
        let sizes = || self.bytes.fault(1, MESSAGE_MOST.into());
        gaps.map(|fault| format!("gap_us: {fault}"))
            .or_else(|| Some(format!("bytes: {}", sizes()?)))
    }
}

impl Table {
    /// A value by chance, rounded down.
    pub(super) fn draw(&self, chance: &mut SplitMix) -> u64 {
        let unit = chance.unit();
        let above = self
            .0
            .partition_point(|(probability, _)| *probability <= unit);
        let ((begin, low), (end, high)) = (self.0[above - 1], self.0[above]);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "values are whole and below 2^32"
        )]
        let value = (low as f64 + (high - low) as f64 * ((unit - begin) / (end - begin))) as u64;
        value
    }

    fn fault(&self, least: u64, most: u64) -> Option<String> {
        let Self(knots) = self;
        if !(2..=KNOTS_MOST).contains(&knots.len()) {
            return Some(format!("a table has 2 to {KNOTS_MOST} knots"));
        }
        let (first, last) = (knots[0], knots[knots.len() - 1]);
        #[expect(clippy::float_cmp, reason = "both are exact")]
        if first.0 != 0.0 || last.0 != 1.0 {
            return Some("probabilities go from 0 to 1".to_owned());
        }
        let rises = |pair: &[(f64, u64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        if !knots.windows(2).all(rises) {
            return Some("probabilities rise and values never fall".to_owned());
        }
        (first.1 < least || last.1 > most).then(|| format!("values go from {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distributed_as_the_table_says() {
        let table = Table(vec![
            (0.0, 0),
            (0.1, 1_000),
            (0.5, 2_000),
            (0.9, 64_000),
            (1.0, 512_000),
        ]);
        let mut chance = SplitMix::new(7);
        let draws: Vec<u64> = (0..100_000).map(|_| table.draw(&mut chance)).collect();
        let below = |value| draws.iter().filter(|draw| **draw < value).count();
        // Halfway up a line lies half of its probability.
        for (value, expected) in [
            (500, 5_000),
            (1_000, 10_000),
            (2_000, 50_000),
            (33_000, 70_000),
            (64_000, 90_000),
            (288_000, 95_000),
            (512_000, 100_000),
        ] {
            let found = below(value);
            assert!(found.abs_diff(expected) <= 500, "{value}: {found}");
        }
        assert_eq!(below(512_000), draws.len());
    }

    #[test]
    fn a_model_that_could_not_be_played_is_refused_with_its_fault() {
        let told = |states: &str| {
            let text = format!(
                r#"{{"schema": "telerelay.model/1", "name": "m", "source": "", "states": [{states}]}}"#
            );
            Model::parse(&text)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let state = |weight: &str, stay: &str, up: &str| {
            told(&format!(
                r#"{{"name": "s", "weight": {weight}, "stay_ms": {stay}, "up": {up}, "down": null}}"#
            ))
        };
        let way = |gap: &str, bytes: &str| format!(r#"{{"gap_us": {gap}, "bytes": {bytes}}}"#);
        let (table, falling, still) = ("[[0, 1], [1, 9]]", "[[0, 9], [1, 1]]", "[[0, 0], [1, 0]]");
        assert_eq!(state("1", table, "null"), Ok(()));
        assert_eq!(state("1", table, &way(table, table)), Ok(()));
        for (refused, fault) in [
            (told(""), "m: it has 1 to 8 states"),
            (state("0", table, "null"), "m: s: its weight is not above 0"),
            (
                state("1", "[[0, 1]]", "null"),
                "m: s: stay_ms: a table has 2 to 256 knots",
            ),
            (
                state("1", still, "null"),
                "m: s: stay_ms: values go from 1 to 3600000",
            ),
            (
                state("1", falling, "null"),
                "m: s: stay_ms: probabilities rise and values never fall",
            ),
            (
                state("1", "[[0.1, 1], [1, 9]]", "null"),
                "m: s: stay_ms: probabilities go from 0 to 1",
            ),
            (
                state("1", table, &way(still, table)),
                "m: s: up: gap_us: no time would ever pass",
            ),
            (
                state("1", table, &way(table, still)),
                "m: s: up: bytes: values go from 1 to 1048576",
            ),
        ] {
            let refused = refused.expect_err("a fault");
            assert_eq!(refused, format!("the screen model: {fault}"));
        }
        let unknown = state("1", table, r#"{"gap_ms": []}"#).expect_err("a fault");
        assert!(unknown.contains("unknown field `gap_ms`"), "{unknown}");
        let foreign = r#"{"schema": "telerelay.model/2", "name": "m", "source": "", "states": []}"#;
        let refused = Model::parse(foreign).expect_err("a fault").to_string();
        assert!(
            refused.ends_with("its schema is not telerelay.model/1"),
            "{refused}"
        );
    }
}
