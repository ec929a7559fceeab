//! What every byte and every frame of a wrapped leg goes through: the record scanner and the frame codec.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telerelay_wire::ids::{AttemptId, ComputerId, Service};
use telerelay_wire::outer::{Connect, Frame, PATH_MAXIMUM, Reader, path_header, path_view};
use telerelay_wire::record;

/// Full records that one read of 64 KiB brings.
const RECORDS: usize = 4;

fn scan(criterion: &mut Criterion) {
    let mut read = Vec::new();
    for _ in 0..RECORDS {
        read.extend_from_slice(&[23, 3, 3]);
        read.extend_from_slice(&record::PROTECTED_MAXIMUM.to_be_bytes());
        read.resize(read.len() + usize::from(record::PROTECTED_MAXIMUM), 0);
    }
    let mut group = criterion.benchmark_group("record scanner");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("full records", |bencher| {
        bencher.iter(|| {
            let mut offset = 0;
            while let Some(record) = record::scan(black_box(&read), offset).expect("records") {
                offset = record.range.end;
            }
            offset
        });
    });
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut path = path_header(PATH_MAXIMUM).to_vec();
    path.resize(path.len() + usize::from(PATH_MAXIMUM), 0);
    let mut group = criterion.benchmark_group("frame codec");
    group.throughput(Throughput::Bytes(path.len() as u64));
    group.bench_function("PATH where it stands", |bencher| {
        bencher.iter(|| path_view(black_box(&path)).expect("PATH").len());
    });
    group.bench_function("PATH through the reader", |bencher| {
        let mut reader = Reader::new();
        bencher.iter(|| {
            reader.push(black_box(&path));
            matches!(reader.next(), Ok(Some(Frame::Path(_))))
        });
    });

    let connect = Frame::from(Connect {
        computer: ComputerId([7; 10]),
        service: Service::Rfb,
        attempt: AttemptId([7; 5]),
        resume: None,
        early: None,
    });
    let mut encoded = Vec::new();
    connect.encode(&mut encoded).expect("fits");
    group.throughput(Throughput::Elements(1));
    group.bench_function("CONNECT written", |bencher| {
        let mut bytes = Vec::with_capacity(encoded.len());
        bencher.iter(|| {
            bytes.clear();
            black_box(&connect).encode(&mut bytes).expect("fits");
        });
    });
    group.bench_function("CONNECT read", |bencher| {
        let mut reader = Reader::new();
        bencher.iter(|| {
            reader.push(black_box(&encoded));
            matches!(reader.next(), Ok(Some(Frame::Connect(_))))
        });
    });
    group.finish();
}

criterion_group!(benches, scan, frames);
criterion_main!(benches);
