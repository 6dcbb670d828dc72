use super::costs::POSTGRES;
use super::settings::Settings;
use super::tenants::Placed;
use super::world::run;

/// Small enough for a test that is not optimised.
fn small() -> Settings {
    Settings {
        rate: 5_000.0,
        seconds: 4.0,
        timeout: 1.0,
        processes: 4,
        ..Settings::default()
    }
}

#[test]
fn utilisation_is_rate_times_service_time() {
    let mut settings = small();
    settings.engine.contention = 0.0;
    settings.engine.cores = 1;
    // Without a part of the call's own the service time does not depend on how many share it.
    settings.engine.store.fixed = 0.0;
    settings.engine.settle.fixed = 0.0;
    for listings in [0.0, 100.0] {
        settings.listings = listings;
        settings.on_replica = false;
        let outcome = run(settings);
        let sent = outcome.sent as f64;
        assert!((sent / settings.rate / settings.seconds - 1.0).abs() < 0.03);
        let each = settings.engine.store.row + settings.engine.settle.row;
        let work = sent * each + outcome.listed as f64 * settings.engine.listing;
        let expected = work / 1e6 / settings.seconds;
        let measured = outcome.busiest();
        let off = (measured / expected - 1.0).abs();
        assert!(off < 0.02, "{measured} in place of {expected}");
    }
}

#[test]
fn places_that_are_taken_are_rate_times_the_time_of_a_request() {
    let settings = small();
    let mean =
        settings.response / 1e3 * (1.0 - settings.hanging) + settings.hanging * settings.timeout;
    let places = (settings.processes * settings.places) as f64;
    let expected = settings.rate * mean / places;
    let measured = run(settings).places;
    assert!(
        (measured / expected - 1.0).abs() < 0.03,
        "{measured}, {expected}"
    );
}

#[test]
fn the_same_seed_gives_the_same_and_another_one_does_not() {
    let settings = Settings {
        seconds: 1.0,
        databases: 2,
        // A hash depends on the seed itself.
        placed: Placed::LargestFirst,
        ..small()
    };
    assert_eq!(run(settings), run(settings));
    assert_ne!(
        run(settings),
        run(Settings {
            seed: 2,
            ..settings
        })
    );
}

#[test]
fn below_saturation_nothing_is_refused_or_left_behind() {
    for databases in [1, 3] {
        let outcome = run(Settings {
            databases,
            ..small()
        });
        assert_eq!(outcome.refused, 0);
        assert_eq!(outcome.stored, outcome.settled);
        assert!(outcome.settled > 20_000);
        assert!(
            outcome.behind.abs() < 0.01 * small().rate,
            "{}",
            outcome.behind
        );
        assert!(outcome.lag(990) < 20.0, "{}", outcome.lag(990));
    }
}

#[test]
fn above_its_ceiling_a_database_refuses_what_is_over() {
    let mut settings = small();
    settings.engine.cores = 1;
    let ceiling = settings.engine.ceiling();
    settings.rate = ceiling * 1.5;
    // The queues are full when it is measured.
    settings.timeout = 8.0;
    settings.hanging = 0.0;
    settings.listings = 0.0;
    let outcome = run(settings);
    assert!(outcome.busiest() > 0.99);
    let started = outcome.started as f64 / settings.seconds;
    assert!(
        (started / ceiling - 1.0).abs() < 0.03,
        "{started}, {ceiling}"
    );
    assert!(outcome.refused > 0);
    let over = settings.rate - ceiling;
    assert!(
        (outcome.behind / over - 1.0).abs() < 0.1,
        "{}",
        outcome.behind
    );
    assert_eq!(outcome.stored, outcome.settled);
}

#[test]
fn one_place_less_than_it_takes_leaves_work_to_claim() {
    let mut settings = small();
    // 5,000 a second of 100 ms take 500 places.
    settings.places = 100;
    settings.hanging = 0.0;
    let outcome = run(settings);
    assert!(outcome.places > 0.99, "{}", outcome.places);
    let started = outcome.started as f64 / settings.seconds;
    assert!((started / 4_000.0 - 1.0).abs() < 0.03, "{started}");
    assert_eq!(outcome.stored, outcome.settled);
}

#[test]
fn a_replica_that_replays_more_slowly_than_is_written_is_stale() {
    let mut settings = small();
    settings.listings = 200.0;
    let calm = run(settings);
    assert_eq!(calm.stale, 0);
    settings.engine.replay = 110.0;
    let behind = run(settings);
    assert!(behind.stale as f64 > 0.9 * behind.listed as f64);
}

#[test]
fn more_cores_that_stand_in_each_others_way_bring_less_than_their_number() {
    let mut one = POSTGRES;
    one.cores = 1;
    let ratio = POSTGRES.ceiling() / one.ceiling();
    assert!((ratio - 8.0 / 2.4).abs() < 1e-9, "{ratio}");
}
