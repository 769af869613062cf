//! Runs test cases through a real Envoy with the filter, together with a test upstream and a test issuer.
//!
//! A case runs in these steps: [`case`] reads the file, [`scene`] starts the servers, and [`token`] signs the tokens.
//! [`client`] sends the request to the Envoy of a [`stage`]. [`expect`] compares the outcome with the expected one, and
//! [`runner`] reports the result. [`native`] runs the same cases without Envoy. [`trial`] runs the generated Envoy
//! configuration, which tests can modify. The harness uses the gateway only in the same ways as users: as a module for Envoy,
//! through the `portcullis` command line, or through the public API of the package.

pub mod before;
pub mod bootstrap;
pub mod case;
pub mod certificate;
pub mod client;
pub mod clock;
pub mod core_gateway;
pub mod documents;
pub mod envoy;
pub mod expect;
pub mod failure;
pub mod flawed_module;
pub mod frames;
pub mod fuzz;
pub mod generated;
pub mod h2c;
pub mod issuer;
pub mod keys;
pub mod latency;
pub mod listeners;
pub mod load;
pub mod manual;
pub mod moved_clock;
pub mod native;
pub mod node;
pub mod octets;
pub mod odd_module;
pub mod outcome;
pub mod place;
pub mod ports;
pub mod program;
pub mod protobuf;
pub mod provider;
pub mod rate_limits;
pub mod reference;
pub mod runner;
pub mod scene;
pub mod server;
pub mod shown;
pub mod small_module;
pub mod stage;
pub mod tap;
pub mod tls;
pub mod token;
pub mod trial;
pub mod upstream;
pub mod verifiers;
pub mod versions;
