import { fingerprint } from "../backend/jwt.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import { halfMoved } from "./half-moved.ts";
import type { Journal } from "./journal.ts";
import type { Mirror } from "./mirror.ts";

/** What stayed on this machine, by label. */
interface Kept {
	/** Renewed here, and not in the pool. */
	readonly renewed: readonly string[];
	/** Between this machine and the pool. Each needs a sign-in. */
	readonly halfMoved: readonly string[];
}

interface Deps {
	readonly local: LocalAccountStore;
	readonly journal: Journal;
	/** Of the pool that is left. */
	readonly mirror: Pick<Mirror, "crossings" | "name">;
	readonly now: () => number;
}

/** Keeps sign-ins on this machine that are not in the database. Sends none: other machines may reach the database. */
export async function keepUnstored({ local, journal, mirror, now }: Deps): Promise<Kept> {
	const renewed: string[] = [];
	for (const entry of await journal.read()) {
		await local.put({ ...entry.account, shared: undefined });
		await local.flush();
		await journal.drop(entry);
		renewed.push(entry.account.label);
	}
	const here = mirror.crossings().flatMap(({ id, tokenHash }) => {
		const account = local.list().find((each) => each.id === id);
		return account && fingerprint(account.credential.refresh) === tokenHash ? [account] : [];
	});
	for (const { id, credential, needsLogin } of here) {
		const isSame = ({ refresh }: { readonly refresh: string }) => refresh === credential.refresh;
		if (!needsLogin) await local.patch(id, { needsLogin: halfMoved(mirror.name(), now()) }, isSame);
	}
	await local.flush();
	return { renewed, halfMoved: here.map(({ label }) => label) };
}

/** Says what stayed on this machine when it joined another pool; undefined if that is nothing. */
export function keptText({ renewed, halfMoved: moving }: Kept, poolName: string | undefined): string | undefined {
	const pool = poolName ? `the pool "${poolName}"` : "its former pool";
	const [only] = moving;
	const login = moving.length === 1 && only !== undefined ? only : "<account>";
	const sentences = [
		renewed.length > 0 && `The newest sign-in of ${renewed.join(", ")} is not in ${pool}, and stays on this machine.`,
		moving.length > 0 &&
			`Half moved between this machine and ${pool}: ${moving.join(", ")}. /multicodex login ${login} signs in here.`,
	].filter((sentence) => sentence !== false);
	return sentences.length > 0 ? sentences.join(" ") : undefined;
}
