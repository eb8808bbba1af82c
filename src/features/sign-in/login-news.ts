import { setTimeout as pause } from "node:timers/promises";
import { within } from "../../core/abort.ts";
import type { Account, Credential } from "../../core/account.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import { tellDefect } from "../../core/defect-reports.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { Clock } from "../../core/ports.ts";
import { joined } from "./texts.ts";

/** Reports the result of a sign-in through pi's own `/login`, which itself only mentions pi's file. */
export interface LoginNews {
	/** Calls `tell` with the text from now on. */
	follow(tell: (text: string) => void): void;
	/** Called when a sign-in was stored. `known` is the account that it already belonged to. Never rejects. */
	signedIn(credential: Credential, known: Account | undefined): Promise<void>;
}

interface Deps {
	readonly membership: Pick<Membership, "whose">;
	readonly pool: Pick<Pool, "accounts" | "emit" | "status">;
	readonly usage: Pick<UsageMonitor, "ask">;
	readonly clock: Clock;
	/** Time for pi to close its own screen; a second by default. */
	readonly pauseMs?: number;
}

const PAUSE_MS = 1000;
/** How long the person waits to hear what is left. The footer shows later answers. */
const USAGE_MS = 3000;

/** Creates the news of sign-ins. */
export function createLoginNews({ membership, pool, usage, clock, pauseMs = PAUSE_MS }: Deps): LoginNews {
	let tell: ((text: string) => void) | undefined;
	const tellOf = async (credential: Credential, known: Account | undefined) => {
		const account = membership.whose(credential)?.account;
		if (!account) return;
		const asked = within(usage.ask(account.id), USAGE_MS, () => false).catch(() => false);
		await pause(pauseMs, undefined, { ref: false });
		const isAnswered = await asked;
		const how = {
			isNew: known === undefined,
			isForNew: false,
			total: pool.accounts().length,
			usage: isAnswered ? pool.status(account.id).usage : undefined,
			now: clock.now(),
		};
		tell?.(joined(account, how));
	};
	return {
		follow: (listener) => {
			tell = listener;
		},
		signedIn: (credential, known) =>
			tellOf(credential, known).catch((error: unknown) => tellDefect(error, "session", pool.emit)),
	};
}
