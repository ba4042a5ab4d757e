//! Objects, there and back.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
};

use futures_util::StreamExt as _;
use object_store::{Error, ObjectStoreExt as _, PutPayload, WriteMultipart, path::Path};
use release::remote::{Answer, Request};

use crate::open::{Store, words};

/// Objects up to this size are sent in one piece; larger ones in pieces of it.
const PIECE_BYTES: usize = 8 << 20;

pub async fn answer(store: &Store, request: &Request) -> Answer {
    let result = match request {
        Request::Open { .. } => unreachable!("opened by the caller"),
        Request::Exists { name } => store.objects.head(&path(store, name)).await.map(|_| Answer::Done),
        Request::Get { name, to, limit_bytes } => get(store, name, to, *limit_bytes).await,
        Request::Put { name, from } => put(store, name, from).await,
    };
    match result {
        Ok(answer) => answer,
        Err(Error::NotFound { .. }) => Answer::Absent,
        Err(error) => Answer::Failed { why: words(&error) },
    }
}

fn path(store: &Store, name: &str) -> Path {
    name.split('/').fold(store.prefix.clone(), |path, part| path.join(part))
}

async fn get(store: &Store, name: &str, to: &str, limit_bytes: u64) -> Result<Answer, Error> {
    let found = store.objects.get(&path(store, name)).await?;
    if found.meta.size > limit_bytes {
        return Ok(Answer::TooLarge);
    }
    let mut file = File::create_new(to).map_err(at_file)?;
    let (mut parts, mut left) = (found.into_stream(), limit_bytes);
    while let Some(part) = parts.next().await {
        let part = part?;
        // What a server says of the size need not be so.
        let Some(rest) = left.checked_sub(part.len() as u64) else { return Ok(Answer::TooLarge) };
        left = rest;
        file.write_all(&part).map_err(at_file)?;
    }
    Ok(Answer::Done)
}

async fn put(store: &Store, name: &str, from: &str) -> Result<Answer, Error> {
    let mut file = File::open(from).map_err(at_file)?;
    let path = path(store, name);
    let mut piece = next(&mut file).map_err(at_file)?;
    if piece.len() < PIECE_BYTES {
        store.objects.put(&path, PutPayload::from(piece)).await?;
        return Ok(Answer::Done);
    }
    // Not there before its last piece is.
    let mut upload =
        WriteMultipart::new_with_chunk_size(store.objects.put_multipart(&path).await?, PIECE_BYTES);
    while !piece.is_empty() {
        upload.write(&piece);
        upload.wait_for_capacity(1).await?;
        piece = next(&mut file).map_err(at_file)?;
    }
    upload.finish().await?;
    Ok(Answer::Done)
}

fn next(file: &mut File) -> io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    file.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn at_file(error: io::Error) -> Error {
    Error::Generic { store: "file", source: Box::new(error) }
}
