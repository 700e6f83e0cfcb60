//! The examples of the README, compiled with the documentation's tests.

#![doc = include_str!("../README.md")]
