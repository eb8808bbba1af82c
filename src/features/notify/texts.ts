import { basename } from "node:path";
import { printable } from "../../core/account.ts";
import { hideTokens } from "../../core/privacy.ts";
import { about, formatClock, formatDuration } from "../../ui-kit/format.ts";
import { type HookEnd, LIMIT_MS } from "./hook.ts";

/** Returns the text for a waiting session that continues. */
export function goesOn(label: string, waitedMs: number): string {
	return `Codex: a waiting session continues on ${label}, after ${formatDuration(waitedMs)}.`;
}

/** Returns when something is back, for the end of a sentence. */
function timeOf(at: number, now: number, guessed = false): string {
	return `${about(guessed)}${formatClock(at, now)} (in ${formatDuration(at - now)})`;
}

/** Returns the text for a request that found no account. */
export function poolDry(back: number | undefined, guessed: boolean | undefined, now: number): string {
	const first = back === undefined ? "" : ` The first is back ${timeOf(back, now, guessed)}.`;
	return `Codex: no account can serve.${first}`;
}

/** Returns the text for a request that found no account and waits for the first one. */
export function poolDryWaiting(until: number, now: number): string {
	return `Codex: no account can serve. A session waits until ${timeOf(until, now)}.`;
}

/** Returns the text for a request that found no account, so that the person is asked. */
export function poolDryAsking(): string {
	return "Codex: no account has included quota left. pi asks how to continue.";
}

/** Returns the text for the first account after a time without any. */
export function poolBack(label: string): string {
	return `Codex: ${label} is ready again.`;
}

/** Returns the text of a test notice. */
export function trial(): string {
	return "Codex: notices arrive here.";
}

/** Returns the name of a command without its arguments, which may contain anything. */
export function programName([program = ""]: readonly string[]): string {
	return printable(hideTokens(basename(program))).slice(0, 60);
}

/** Returns why a notice command failed; undefined if it did not, or if the end of pi cut it off. */
export function hookFailure(argv: readonly string[], end: HookEnd): string | undefined {
	const name = `The command of your notices, ${programName(argv)},`;
	switch (end.kind) {
		case "done":
		case "cut-off":
			return undefined;
		case "unstarted":
			return `${name} could not be started (${end.code === "ENOENT" ? "there is no such program" : end.code}).`;
		case "exit":
			return `${name} ended with code ${end.code}.`;
		case "signal":
			return `${name} was ended by ${end.signal}.`;
		case "late":
			return `${name} took longer than ${LIMIT_MS / 1000} s and was ended.`;
	}
}
