// Places where a test kills the process, to show that what was promised by then holds after the
// restart. Nothing is compiled in unless the option LOCKSTEP_CRASH_POINTS is on (test builds).
//
//   CRASH_POINT("store.after_commit");
//
// Which one kills, and at which hit, is said by LOCKSTEP_CRASH_AT=store.after_commit:3 in the
// environment or by arm_crash_point. Every name is in the list below, so that a test can go through
// all of them; another one does not compile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace lockstep {

inline constexpr auto kCrashPoints = std::to_array<std::string_view>({
    "store.before_insert",       // Of an accepted job's row.
    "store.after_insert",        // The row is written, not committed.
    "store.append_tokens",       // A checkpoint of tokens is written, not committed.
    "store.terminal_row",        // So is a job's end.
    "store.before_commit",       // Of a group.
    "store.after_commit",        // Durable, and nobody told.
    "store.between_callbacks",   // One told, the others not.
    "store.checkpoint",          // Before the journal is copied back.
    "store.after_checkpoint",    // And after.
    "store.migration",           // A step of a migration is written, not committed.
    "store.begin_epoch",         // Written, not committed.
    "store.after_begin_epoch",   // Durable, and not used.
    "store.retention",           // Rows are removed, not committed.
    "store.reserve_given_up",    // The disk is full, the group not tried again.
    "store.reserve_made",        // There is room again, and nobody told.
    "store.backup",              // Half of a backup is written.
    "store.backup_before_name",  // A backup is whole but has not got its name.
    "gateway.recover",           // Accepted jobs are read, and not queued.
    "gateway.replica_adopted",   // A replica that outlived the gateway is watched again.
    "gateway.replica_key",       // A replica has a key that nobody was given.
    "gateway.replica_started",   // It runs, and nothing is on disk of it.
    "gateway.listen",            // Everything is up but HTTP.
    "gateway.hello",             // A replica came, and nobody knows.
    "gateway.welcomed",          // A generation began on the wire.
    "gateway.keys_read",         // API keys were read anew.
    "gateway.submit",            // Of a request; nothing of it is written.
    "gateway.accepted",          // Its row is on disk, its client was not told.
    "gateway.accept_told",       // The client may have been told.
    "gateway.loaded",            // A queued job is read back from the disk.
    "gateway.assign",            // Of a choice to a replica, before it is sent.
    "gateway.assigned",          // And after.
    "gateway.tokens",            // A replica sent some, clients have not got them.
    "gateway.tokens_told",       // They may have, and the disk has not.
    "gateway.checkpoint",        // Before tokens go to the disk.
    "gateway.checkpointed",      // They are there, and the dispatcher does not know.
    "gateway.choice_end",        // One of several choices ended.
    "gateway.end",               // Before the terminal row goes to the disk.
    "gateway.ended",             // It is there, and the client does not know.
    "gateway.end_told",          // The client may know.
    "gateway.replay",            // An idempotency key is taken, not known by whom.
    "gateway.replayed",          // It is known by whom.
    "gateway.found_on_disk",     // A job that nobody read is read for a client.
    "gateway.client_left",       // A client's connection to a job closed.
    "gateway.cancel",            // A client asked for it; nothing is written.
    "gateway.cancelled",         // The terminal row is on disk, the client was not told.
    "gateway.fence",             // A generation is over, its key and processes are as before.
    "gateway.fenced",            // They are gone.
    "gateway.drain",             // It was asked for.
    "gateway.drained",           // Everything is on disk, the process goes on.
    "file.received",             // An upload is whole, not synced.
    "file.named",                // It is durable under its name, without a row.
    "file.inserted",             // It has a row, its client was not told.
    "file.removed",              // The row is gone, the bytes are not.
    "batch.created",             // Its row is on disk, nobody knows.
    "batch.validated",           // Its file was checked, nothing is written of it.
    "batch.feed",                // Lines are read, nothing of them is written.
    "batch.stored",              // Lines, a change of state or the end are on disk, nobody knows.
    "batch.output",              // Output is written, under no name.
    "batch.output_named",        // One of the two files has its name.
    "batch.written",             // Both are durable, without rows.
    "batch.cancel",              // A client asked for it; nothing is written.
    "batch.cancelled",           // It is on disk, the client was not told.
    "outbox.window",             // The blocks that were seen are written, not committed.
    "outbox.halted",             // A final block has vanished; it is on disk that all stops.
    "outbox.preflight",          // A write that needs no transaction, or none helps: not committed.
    "outbox.reserve",            // A nonce is written, not committed.
    "outbox.reserved",           // Durable, and nothing is signed.
    "outbox.signed",             // Signed bytes are nowhere but in memory.
    "outbox.store",              // They are written, not committed.
    "outbox.stored",             // Durable, and nobody has seen them.
    "outbox.refuse",             // The signer refuses; written, not committed.
    "outbox.send",               // Before a broadcast, the first one or another.
    "outbox.sent",               // After it; the disk does not know.
    "outbox.mark_sent",          // Written, not committed.
    "outbox.marked_sent",        // Durable.
    "outbox.replace",            // Before higher fees are signed.
    "outbox.receipt",            // A receipt was seen, and nothing written.
    "outbox.include",            // Its block is written, not committed.
    "outbox.included",           // Durable.
    "outbox.vanish",             // Its block has vanished; written, not committed.
    "outbox.vanished",           // Durable, and the bytes are not sent again yet.
    "outbox.finish",             // Final; written with what follows from it, not committed.
    "outbox.finished",           // Durable.
    "outbox.examine",            // What follows from a revert is written, not committed.
    "outbox.examined",           // Durable.
    "outbox.stranger",           // A nonce is lost to another process; written, not committed.
    "signer.request",            // A request was read, nothing is decided.
    "signer.record",             // What it commits to is written, not committed.
    "signer.recorded",           // Durable, and nothing is signed.
    "signer.signed",             // And the signature is not on its way.
});

#ifdef LOCKSTEP_CRASH_POINTS
inline constexpr bool kHasCrashPoints = true;
#else
inline constexpr bool kHasCrashPoints = false;
#endif

// Arms one crash point, "NAME" or "NAME:HIT" (from 1 on) as from now, and disarms the one before.
// kInvalidArgument names what is wrong. Thread-safe.
Status arm_crash_point(std::string_view text);

// How often a point was passed in this process; 0 where crash points are not compiled in.
std::uint64_t crash_point_hits(std::string_view name);

// What the macro calls.
void pass_crash_point(std::size_t index);
void crash_point_is_not_listed();  // Never defined: calling it stops the compiler.
consteval std::size_t crash_point_index(std::string_view name) {
  for (std::size_t i = 0; i < kCrashPoints.size(); ++i) {
    if (kCrashPoints[i] == name) return i;
  }
  crash_point_is_not_listed();
  return 0;
}

}  // namespace lockstep

#ifdef LOCKSTEP_CRASH_POINTS
#define CRASH_POINT(name) ::lockstep::pass_crash_point(::lockstep::crash_point_index(name))
#else
#define CRASH_POINT(name) static_cast<void>(::lockstep::crash_point_index(name))
#endif
