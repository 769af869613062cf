//! The test harness: a real Envoy, a real upstream and a real issuer around the filter.
