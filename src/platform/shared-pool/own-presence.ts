import type { AccountId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { After } from "./push-schedule.ts";
import type { Push } from "./types.ts";

/** How often a process writes its presence. */
const PRESENT_EACH_MS = 60_000;

interface Deps {
	readonly machine: () => string;
	/** Returns how many sessions of this process work on each shared account. */
	readonly sessions: () => Readonly<Record<AccountId, number>>;
	readonly clock: Clock;
	readonly after: After;
	/** Called when the presence must be written again. */
	readonly onDue: () => void;
}

/** What other machines see of this process: its machine, and its sessions at work. */
interface OwnPresence {
	/** Records that sessions have started or ended their work. Returns true if that must be stored. */
	sessionsChanged(): boolean;
	/**
	 * Records that the database can be reached. The presence is due if it is not stored there, has expired, or is stored
	 * under a former name of the machine.
	 */
	noteLook(): void;
	isDue(): boolean;
	/** Returns what must be stored; undefined for nothing. */
	toStore(): Push["presence"];
	wasStored(presence: NonNullable<Push["presence"]>): void;
	/** Records that this process ends. Returns true if its presence must be removed. */
	end(): boolean;
	/** Stops the timer. */
	stop(): void;
}

/** Creates the presence of this process. Nothing is due before the first session or look. */
export function createOwnPresence({ machine, sessions, clock, after, onDue }: Deps): OwnPresence {
	/** What the database knows of this process, and since when. */
	let told: { readonly machine: string; readonly sessions: string; readonly at: number } | undefined;
	let isDue = false;
	let hasEnded = false;
	let cancel: (() => void) | undefined;
	return {
		sessionsChanged: () => {
			if ((told?.sessions ?? "{}") === JSON.stringify(sessions())) return false;
			isDue = true;
			return true;
		},
		noteLook: () => {
			const isCurrent = told?.machine === machine() && clock.now() - told.at < PRESENT_EACH_MS;
			if (!hasEnded && !isCurrent) isDue = true;
		},
		isDue: () => isDue,
		toStore: () => {
			if (!isDue) return undefined;
			return hasEnded ? "gone" : { machine: machine(), sessions: sessions() };
		},
		wasStored: (presence) => {
			isDue = false;
			cancel?.();
			cancel = undefined;
			told = undefined;
			if (presence === "gone") return;
			told = { machine: presence.machine, sessions: JSON.stringify(presence.sessions), at: clock.now() };
			if (Object.keys(presence.sessions).length === 0) return;
			cancel = after(PRESENT_EACH_MS, () => {
				isDue = true;
				onDue();
			});
		},
		end: () => {
			hasEnded = true;
			isDue = told !== undefined;
			return isDue;
		},
		stop: () => cancel?.(),
	};
}
