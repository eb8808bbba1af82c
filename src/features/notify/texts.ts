import { basename } from "node:path";
import { printable } from "../../core/account.ts";
import { hideTokens } from "../../core/privacy.ts";
import { about, formatClock, formatDuration } from "../../ui-kit/format.ts";
import { type HookEnd, LIMIT_MS } from "./hook.ts";

/** A session that has waited goes on. */
export function goesOn(label: string, waitedMs: number): string {
	return `Codex: a waiting session goes on with ${label}, after ${formatDuration(waitedMs)}.`;
}

/** When something is back, in the words of a sentence's end. */
function timeOf(at: number, now: number, guessed = false): string {
	return `${about(guessed)}${formatClock(at, now)} (in ${formatDuration(at - now)})`;
}

/** A request found no account. */
export function poolDry(back: number | undefined, guessed: boolean | undefined, now: number): string {
	const first = back === undefined ? "" : ` The first is back ${timeOf(back, now, guessed)}.`;
	return `Codex: no account can serve.${first}`;
}

/** A request found no account, and waits for the first. */
export function poolDryWaiting(until: number, now: number): string {
	return `Codex: no account can serve. A session waits until ${timeOf(until, now)}.`;
}

/** A request found no account, and the person is asked. */
export function poolDryAsking(): string {
	return "Codex: no account has included quota left. pi asks how to go on.";
}

/** After a time without any account. */
export function poolBack(label: string): string {
	return `Codex: ${label} is ready again.`;
}

/** A notice that says that notices arrive. */
export function trial(): string {
	return "Codex: notices arrive here.";
}

/** The name of a command, without its arguments, which may hold anything. */
export function programName([program = ""]: readonly string[]): string {
	return printable(hideTokens(basename(program))).slice(0, 60);
}

/** How a command that was to get a notice has failed; undefined where it has not, or where pi's end cut it off. */
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
