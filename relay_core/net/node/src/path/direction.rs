//! One direction of a path: what comes by a leg goes to the other as the table of §6 says, which is asked for each thing that came.
use std::task::{Context, Poll};

use telerelay_leg::tls::Progress;
use telerelay_outer::switch::{Action, Arrival, Receiving, arrive};
use telerelay_wire::Code;
use telerelay_wire::limits;
use telerelay_wire::outer::{Frame, Reader, path_view};

use super::End;
use super::half::{Half, Inlet};

/// What became of a direction's next piece.
enum Taken {
    /// It was moved on.
    Moved,
    /// It waits for the other leg's SWITCH.
    Held,
    /// There is none before more is read.
    Nothing,
}

/// Moves one direction on, as far as `dst` takes it: nothing is read from `src` that `dst` has no room for. Whether anything
/// changed.
pub(super) fn shift(cx: &mut Context<'_>, src: &mut Half, dst: &mut Half) -> Result<bool, End> {
    let mut moved = false;
    let mut filled = false;
    while src.inlet.receiving != Receiving::Ended && dst.unsent() < limits::LEG_UNSENT {
        match take(src, dst)? {
            Taken::Moved => moved = true,
            Taken::Held => break,
            // One read of the socket in each turn, so that the other direction and other connections get theirs.
            Taken::Nothing if filled => break,
            Taken::Nothing => match src.poll_fill(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Err(End::Broken),
                Poll::Ready(Ok(0)) => {
                    moved = true;
                    pass(&mut src.inlet, dst, Arrival::End, &[])?;
                }
                Poll::Ready(Ok(_)) => {
                    moved = true;
                    filled = true;
                }
            },
        }
    }
    let before = (dst.unsent(), dst.sending);
    let flushed = dst.poll_flush(cx)?;
    // Room that has become free, or SWITCH that was answered, is a reason to look at `src` again, which was perhaps not asked.
    moved |= (dst.unsent(), dst.sending) != before;
    match flushed {
        Poll::Ready(()) => Ok(dst.shut()? || moved),
        Poll::Pending => Ok(moved),
    }
}

/// Takes the next piece of what came by `src`, if there is a whole one.
fn take(src: &mut Half, dst: &mut Half) -> Result<Taken, End> {
    if let Some((arrival, bytes)) = src.inlet.held.take() {
        let action = pass(&mut src.inlet, dst, arrival, &bytes)?;
        return settle(src, action);
    }
    if src.inlet.receiving == Receiving::Wrapped {
        return take_record(src, dst);
    }
    if src.incoming.is_empty() {
        return Ok(Taken::Nothing);
    }
    let action = pass(&mut src.inlet, dst, Arrival::Raw, &src.incoming)?;
    src.incoming.clear();
    settle(src, action)
}

fn take_record(src: &mut Half, dst: &mut Half) -> Result<Taken, End> {
    let Half {
        tls: Some(tls),
        inlet,
        ..
    } = src
    else {
        return Ok(Taken::Nothing);
    };
    let mut passed = Ok(Action::Nothing);
    let progress = tls.read_record(|record| {
        passed = arrival(record).and_then(|arrival| pass(inlet, dst, arrival, record));
    });
    let action = match progress {
        Ok(Progress::Starved) => return Ok(Taken::Nothing),
        Ok(Progress::Record) => passed?,
        Ok(Progress::Closed) => pass(inlet, dst, Arrival::End, &[])?,
        Err(error) => {
            tracing::debug!(%error, "outer TLS of a path broke");
            return Err(End::Broken);
        }
    };
    settle(src, action)
}

/// What a record's plaintext is: PATH, nothing, SWITCH, or a breach of §4.
fn arrival(record: &[u8]) -> Result<Arrival, End> {
    if path_view(record).is_some() {
        return Ok(Arrival::Path);
    }
    if record.is_empty() {
        return Ok(Arrival::Empty);
    }
    let mut reader = Reader::new();
    reader.push(record);
    let is_switch = matches!(reader.next(), Ok(Some(Frame::Switch(_))));
    if is_switch && reader.is_between_frames() {
        Ok(Arrival::Switch)
    } else {
        Err(End::Breach(Code::BadFrame))
    }
}

/// One row of the table of §6, as far as it concerns `dst`. `came` is the frame of [`Arrival::Path`], or the bytes of
/// [`Arrival::Raw`].
fn pass(inlet: &mut Inlet, dst: &mut Half, arrival: Arrival, came: &[u8]) -> Result<Action, End> {
    let step = arrive(inlet.receiving, dst.sending, arrival);
    inlet.receiving = step.src;
    dst.sending = step.dst;
    let bytes = match arrival {
        Arrival::Path => path_view(came).unwrap_or_default(),
        _ => came,
    };
    match step.action {
        Action::Nothing | Action::Answer | Action::Shutdown => {}
        Action::Frame => {
            inlet.carried += bytes.len() as u64;
            match arrival {
                // A frame already: it goes into the other leg's TLS as it stands.
                Arrival::Path => dst.write_record(came)?,
                _ => dst.write_framed(bytes)?,
            }
        }
        Action::Append | Action::Move => {
            inlet.carried += bytes.len() as u64;
            dst.append(bytes);
        }
        Action::Hold => inlet.held = Some((arrival, came.to_vec())),
        Action::CloseNotify => dst.close_notify(),
        Action::CloseBoth => return Err(End::Broken),
    }
    Ok(step.action)
}

/// The rest of the row: what concerns `src`.
fn settle(src: &mut Half, action: Action) -> Result<Taken, End> {
    match action {
        Action::Hold => Ok(Taken::Held),
        Action::Answer => src.switched().map(|()| Taken::Moved),
        _ => Ok(Taken::Moved),
    }
}
