//! A checker made in one expression.

use std::time::Duration;

use super::Checker;
use crate::check::error::Error;
use crate::check::request::{Family, milliseconds};
use crate::config::{Config, EngineKind};

/// Settings one after another, and then the checker. A setting that cannot be is refused by [`CheckerBuilder::build`].
///
/// ```
/// use std::time::Duration;
/// use tcpshaker::Checker;
///
/// let checker = Checker::builder().timeout(Duration::from_millis(500)).max_rate(10_000).build()?;
/// # Ok::<(), tcpshaker::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a checker when it is told to build one"]
pub struct CheckerBuilder {
    config: Config,
    /// Why the first setting that cannot be was refused.
    refused: Option<Error>,
}

impl CheckerBuilder {
    /// [`Config::set_engine`].
    pub fn engine(self, engine: EngineKind) -> CheckerBuilder {
        self.set(|config| config.set_engine(engine))
    }

    /// [`Config::set_threads`].
    pub fn threads(self, loops: u32) -> CheckerBuilder {
        self.set(|config| config.set_threads(loops))
    }

    /// [`Config::set_timeout`], rounded up to milliseconds.
    pub fn timeout(self, timeout: Duration) -> CheckerBuilder {
        self.set(|config| config.set_timeout(milliseconds(timeout)))
    }

    /// [`Config::set_max_in_flight`].
    pub fn max_in_flight(self, checks: u32) -> CheckerBuilder {
        self.set(|config| config.set_max_in_flight(checks))
    }

    /// [`Config::set_max_rate`].
    pub fn max_rate(self, checks_per_second: u32) -> CheckerBuilder {
        self.set(|config| config.set_max_rate(checks_per_second))
    }

    /// [`Config::set_max_lookups`].
    pub fn max_lookups(self, lookups: u32) -> CheckerBuilder {
        self.set(|config| config.set_max_lookups(lookups))
    }

    /// [`Config::set_syn_interval`], rounded up to milliseconds.
    pub fn syn_interval(self, interval: Duration) -> CheckerBuilder {
        self.set(|config| config.set_syn_interval(milliseconds(interval)))
    }

    /// [`Config::set_caller_driven`].
    pub fn caller_driven(self, on: bool) -> CheckerBuilder {
        self.set(|config| config.set_caller_driven(on))
    }

    /// [`Config::set_family`].
    pub fn family(self, family: Family) -> CheckerBuilder {
        self.set(|config| config.set_family(family))
    }

    /// [`Config::set_zero_linger`].
    pub fn zero_linger(self, on: bool) -> CheckerBuilder {
        self.set(|config| config.set_zero_linger(on))
    }

    /// [`Config::set_source`].
    pub fn source(self, ip: &str) -> CheckerBuilder {
        self.set(|config| config.set_source(ip))
    }

    /// [`Config::set_interface`].
    pub fn interface(self, name: &str) -> CheckerBuilder {
        self.set(|config| config.set_interface(name))
    }

    /// [`Config::set_network_namespace`].
    pub fn network_namespace(self, path: &str) -> CheckerBuilder {
        self.set(|config| config.set_network_namespace(path))
    }

    /// [`Config::set_mark`].
    pub fn mark(self, mark: u32) -> CheckerBuilder {
        self.set(|config| config.set_mark(mark))
    }

    /// [`Config::set_tos`].
    pub fn tos(self, tos: u8) -> CheckerBuilder {
        self.set(|config| config.set_tos(tos))
    }

    /// Makes the checker.
    ///
    /// # Errors
    /// What refused the first setting that cannot be, or [`Checker::new`].
    pub fn build(self) -> Result<Checker, Error> {
        match self.refused {
            Some(error) => Err(error),
            None => Checker::new(&self.config),
        }
    }

    fn set(mut self, setting: impl FnOnce(&mut Config) -> Result<(), Error>) -> CheckerBuilder {
        if self.refused.is_none() {
            self.refused = setting(&mut self.config).err();
        }
        self
    }
}

impl Checker {
    /// A checker to be made in one expression.
    pub fn builder() -> CheckerBuilder {
        CheckerBuilder::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_is_refused_whatever_follows_it() {
        let built =
            Checker::builder().timeout(Duration::ZERO).timeout(Duration::from_secs(1)).source("nowhere").build();
        assert_eq!(built.err(), Some(Error::Invalid));
    }

    #[test]
    fn what_was_set_is_what_the_checker_has() {
        let timeout = Duration::from_micros(1_500);
        let checker = Checker::builder().timeout(timeout).syn_interval(timeout).max_in_flight(7).build().unwrap();
        let config = &checker.shared.config;
        assert_eq!((config.timeout_ms, config.syn_interval_ms, config.max_in_flight), (2, 2, Some(7)));
        assert_eq!(checker.default_timeout_ms(), 2);
    }

    /// None of the values is the default, or a setting that is left out would not be missed.
    #[test]
    #[cfg(target_os = "linux")]
    fn each_setting_is_that_of_the_configuration_and_keeps_the_others() {
        let mut config = Config::default();
        config.set_engine(EngineKind::Auto).unwrap();
        config.set_threads(3).unwrap();
        config.set_timeout(1_000).unwrap();
        config.set_max_in_flight(7).unwrap();
        config.set_max_rate(9).unwrap();
        config.set_max_lookups(2).unwrap();
        config.set_syn_interval(100).unwrap();
        config.set_family(Family::V4).unwrap();
        config.set_zero_linger(false).unwrap();
        config.set_source("127.0.0.1").unwrap();
        config.set_interface("lo").unwrap();
        config.set_network_namespace("/proc/self/ns/net").unwrap();
        config.set_mark(5).unwrap();
        config.set_tos(16).unwrap();
        config.set_caller_driven(true).unwrap();
        let builder = Checker::builder()
            .engine(EngineKind::Auto)
            .threads(3)
            .timeout(Duration::from_secs(1))
            .max_in_flight(7)
            .max_rate(9)
            .max_lookups(2)
            .syn_interval(Duration::from_millis(100))
            .family(Family::V4)
            .zero_linger(false)
            .source("127.0.0.1")
            .interface("lo")
            .network_namespace("/proc/self/ns/net")
            .mark(5)
            .tos(16)
            .caller_driven(true);
        assert_eq!(format!("{:?}", builder.config), format!("{config:?}"));
    }
}
