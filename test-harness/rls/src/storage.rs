//! Stores Limitador's counters in Redis, with one script that checks and counts atomically.
//!
//! The Redis storage of the `limitador` crate checks and counts in two steps, so two concurrent calls could both get the last
//! hit. It also does not compile without the RocksDB storage.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use limitador::counter::Counter;
use limitador::limit::Limit;
use limitador::reservation::ReservationId;
use limitador::storage::{AsyncCounterStorage, Authorization, StorageErr};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::Mutex;

/// A counter storage for Limitador in a Redis server.
pub struct RedisStorage {
    client: Client,
    count: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisStorage {
    /// Creates a storage for the Redis at this URL. Redis does not have to run yet.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        Ok(Self { client: Client::open(url)?, count: Script::new(COUNT), connection: Mutex::default() })
    }

    /// Adds `delta` to all counters if every counter stays within its limit. Returns whether it added `delta`. For each
    /// counter, also returns the previous value and the milliseconds until the counter resets.
    async fn count(&self, counters: &[Counter], delta: u64) -> Result<(bool, Vec<(u64, u64)>), RedisError> {
        let mut call = self.count.prepare_invoke();
        for counter in counters {
            call.key(key(counter)).arg(counter.max_value()).arg(counter.window().as_secs() * 1_000);
        }
        call.arg(delta);
        let mut held = self.connection.lock().await;
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (fits, found): (u8, _) = call.invoke_async(&mut connection).await?;
        // A failed call returns before this line, so the next call opens a new connection.
        *held = Some(connection);
        Ok((fits == 1, found))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Returns an error of the `limitador` crate. `StorageErr` has no public constructor, but the default implementation of
    /// `release_reservation` returns one.
    async fn fail(&self) -> Result<(), StorageErr> {
        self.release_reservation(&[], &ReservationId::default()).await.map(|_| ())
    }
}

#[async_trait]
impl AsyncCounterStorage for RedisStorage {
    async fn check_and_update<'a>(&self, counters: &mut Vec<Counter>, delta: u64) -> Result<Authorization, StorageErr> {
        let (fits, found) = match self.count(counters, delta).await {
            Ok(counted) => counted,
            Err(error) => {
                eprintln!("redis: {error}");
                return self.fail().await.map(|()| Authorization::Limited(None));
            }
        };
        let mut over = None;
        for (counter, (value, left)) in counters.iter_mut().zip(found) {
            counter.set_remaining(counter.max_value().saturating_sub(value));
            counter.set_expires_in(Duration::from_millis(left));
            if over.is_none() && value + delta > counter.max_value() {
                over = Some(counter.limit().name().map(str::to_owned));
            }
        }
        Ok(if fits { Authorization::Ok } else { Authorization::Limited(over.flatten()) })
    }

    // The library never calls the following methods for this protocol.

    async fn is_within_limits(&self, _counter: &Counter, _delta: u64) -> Result<bool, StorageErr> {
        self.fail().await.map(|()| false)
    }

    async fn update_counter(&self, _counter: &Counter, _delta: u64) -> Result<(), StorageErr> {
        self.fail().await
    }

    async fn check<'a>(&self, _counters: &mut Vec<Counter>, _delta: u64) -> Result<Authorization, StorageErr> {
        self.fail().await.map(|()| Authorization::Limited(None))
    }

    async fn get_counters(&self, _limits: &HashSet<Arc<Limit>>) -> Result<HashSet<Counter>, StorageErr> {
        self.fail().await.map(|()| HashSet::new())
    }

    async fn delete_counters(&self, _limits: &HashSet<Arc<Limit>>) -> Result<(), StorageErr> {
        self.fail().await
    }

    async fn clear(&self) -> Result<(), StorageErr> {
        self.fail().await
    }
}

/// Returns the Redis key of a counter: the namespace, the name and the window of the limit, and the values of its variables.
fn key(counter: &Counter) -> String {
    let variables = counter.set_variables().iter().map(|(name, value)| format!("{name}={value}"));
    let variables: Vec<String> = variables.collect();
    let name = counter.limit().name().unwrap_or_default();
    format!("{}/{name}/{}/{}", counter.namespace().as_ref(), counter.window().as_secs(), variables.join(","))
}

const PATIENCE: Duration = Duration::from_secs(1);

/// The script that checks and counts. KEYS contains the keys of the counters. ARGV contains the limit and the window in
/// milliseconds of each counter, and then the delta.
const COUNT: &str = "
local delta = tonumber(ARGV[#ARGV])
local fits, found = 1, {}
for i, key in ipairs(KEYS) do
    local value = tonumber(redis.call('GET', key) or '0')
    local left = redis.call('PTTL', key)
    if left < 0 then left = tonumber(ARGV[2 * i]) end
    found[i] = { value, left }
    if value + delta > tonumber(ARGV[2 * i - 1]) then fits = 0 end
end
if fits == 1 and delta > 0 then
    for i, key in ipairs(KEYS) do
        redis.call('INCRBY', key, delta)
        redis.call('PEXPIRE', key, ARGV[2 * i], 'NX')
    end
end
return { fits, found }
";
