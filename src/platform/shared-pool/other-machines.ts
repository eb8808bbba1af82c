import { type AccountId, entriesById } from "../../core/ids.ts";
import type { OtherMachine } from "../../core/shared-pool.ts";

/** Returns the other machines seen at the last look. Several processes of one machine count as one. */
export function othersIn(
	presences: readonly { process: string; machine: string; sessions: Record<AccountId, number>; seenAt: number }[],
	own: string,
): OtherMachine[] {
	const others = new Map<string, { seenAt: number; sessions: Map<AccountId, number> }>();
	for (const { machine, sessions, seenAt } of presences) {
		if (machine === own) continue;
		const known = others.get(machine) ?? { seenAt, sessions: new Map<AccountId, number>() };
		known.seenAt = Math.max(known.seenAt, seenAt);
		for (const [id, count] of entriesById(sessions)) {
			known.sessions.set(id, (known.sessions.get(id) ?? 0) + count);
		}
		others.set(machine, known);
	}
	return [...others].map(([name, rest]) => ({ name, ...rest })).sort((a, b) => a.name.localeCompare(b.name));
}
