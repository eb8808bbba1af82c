import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { DryAnswer, Offer } from "../../core/beyond/ladder.ts";
import { tellDefect } from "../../core/defect-reports.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, DryQuestion, ForecastSource } from "../../core/ports.ts";
import { maskedContext } from "../../pi/mask-emails.ts";
import { modeOf } from "../../pi/output.ts";
import { once } from "../../platform/lazily.ts";
import type { Show } from "./asking.ts";
import type { ForToday } from "./for-today.ts";

interface Deps {
	readonly pool: Pick<Pool, "emit">;
	readonly forToday: Pick<ForToday, "remember">;
	readonly isMasked: () => boolean;
	/** Forecasts how long quota lasts. */
	readonly forecasts: Pick<ForecastSource, "renew">;
	readonly clock: Clock;
}

const UNAVAILABLE: DryAnswer = { kind: "unavailable" };

/**
 * Asks the person of the session whose request found no account: in a panel in the terminal, in a dialog of an RPC
 * client, and nowhere else.
 */
export function createDryQuestion(pi: ExtensionAPI, { pool, forToday, isMasked, forecasts, clock }: Deps): DryQuestion {
	let context: ExtensionContext | undefined;
	let session = new AbortController();
	pi.on("session_start", (_event, given) => {
		context = maskedContext(given, isMasked);
	});
	pi.on("session_shutdown", () => {
		context = undefined;
		session.abort();
		session = new AbortController();
	});
	/** Returns the context of the session, if it has a person who can answer. */
	const reader = () => (context && ["tui", "rpc"].includes(modeOf(context)) ? context : undefined);
	const show: Show = async (offers, signal) => {
		const ctx = reader();
		if (!ctx) return UNAVAILABLE;
		const ended = AbortSignal.any([signal, session.signal]);
		pool.emit({ type: "asking", isOpen: true });
		try {
			const { askPerson } = await import("./ask-person.ts");
			return await askPerson(ctx, offers, ended, { forecasts, clock });
		} catch (error) {
			// An update may have replaced the file under a running pi, or the session was replaced and its context throws.
			// The turn then ends as if there were no person to ask.
			tellDefect(error, "request", pool.emit);
			return UNAVAILABLE;
		} finally {
			pool.emit({ type: "asking", isOpen: false });
		}
	};
	// Few people ever need this, so it is not part of every start.
	const loadAsking = once(async () => {
		const { createAsking } = await import("./asking.ts");
		return createAsking(show);
	});
	const askIfPossible = async (offers: readonly Offer[], signal: AbortSignal | undefined): Promise<DryAnswer> => {
		if (!reader()) return UNAVAILABLE;
		const asking = await loadAsking().catch((error: unknown) => tellDefect(error, "request", pool.emit));
		return asking ? asking.ask(offers, signal) : UNAVAILABLE;
	};

	return {
		ask: async (offers, signal) => {
			const answer = await askIfPossible(offers, signal);
			if (answer.kind === "take" && answer.forToday) {
				await forToday.remember(answer.rung);
				pool.emit({ type: "setting", name: "beyond.today", value: answer.rung.kind });
			}
			return answer;
		},
	};
}
