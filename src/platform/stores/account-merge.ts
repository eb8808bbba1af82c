import type { Account } from "../../core/account.ts";
import { accountWith, allClaims, speakForOne } from "../../core/identity.ts";
import type { AccountId, WorkspaceId } from "../../core/ids.ts";
import { identityOf } from "../backend/jwt.ts";
import {
	type AccountsFile,
	bytesOf,
	claimsIn,
	isReadable,
	type Row,
	rowSchema,
	speakerOf,
	wasIssuedAfter,
} from "./account-file.ts";

/** An account that was merged into another one. */
interface Merged {
	readonly into: AccountId;
	readonly former: AccountId;
	/** The row whose sign-in was given up, unchanged. */
	readonly spare: Row;
}

/** The file whose rows are merged. */
interface MergedFile {
	/** Lists the accounts of the file. */
	list(): readonly Account[];
	read(): AccountsFile;
	/** Changes the file. Resolves when the change is durable. */
	update(change: (draft: AccountsFile) => void): Promise<void>;
}

/**
 * Merges the rows of `file` that belong to the account `id`. `keepSpare` keeps a copy of each sign-in that is given up,
 * before the file changes.
 */
export async function uniteDoubles(
	file: MergedFile,
	id: AccountId,
	keepSpare: (spare: Row) => Promise<unknown>,
): Promise<readonly Merged[]> {
	const one = accountWith(file.list(), id);
	const isDoubled = (other: Account) =>
		other.id !== one?.id && one !== undefined && (isSameGrant(other, one) || speakForOne(other, one));
	if (!file.list().some(isDoubled)) return [];
	const foreseen = unite(structuredClone(file.read()), one?.id ?? id);
	if (foreseen.length === 0) return [];
	for (const { spare } of foreseen) await keepSpare(spare);
	let done: readonly Merged[] = [];
	await file.update((draft) => {
		const merged = unite(draft, one?.id ?? id);
		if (merged.length > 0) done = merged;
	});
	// Another process may have stored a newer sign-in in between.
	const kept = new Set(foreseen.map(({ spare }) => bytesOf(spare)));
	for (const { spare } of done) {
		if (!kept.has(bytesOf(spare))) await keepSpare(spare);
	}
	return done;
}

/**
 * Merges every row that belongs to the account `id`, or has the same sign-in, into the oldest of them. The oldest keeps
 * its id, its name and whether it is enabled, and gets the newest working sign-in.
 */
export function unite(draft: AccountsFile, id: AccountId): Merged[] {
	const merged: Merged[] = [];
	let wanted = id;
	for (;;) {
		const rows = draft.accounts.flatMap((raw) => rowSchema.safeParse(raw).data ?? []);
		const one = rows.find((row) => row.id === wanted);
		const other = one && rows.find((row) => row.id !== wanted && isOneWith(row, one));
		if (!one || !other) return merged;
		const isOlder =
			one.addedAt === other.addedAt ? rows.indexOf(one) < rows.indexOf(other) : one.addedAt < other.addedAt;
		const [older, newer] = isOlder ? [one, other] : [other, one];
		const best = isBetter(newer, older) ? newer : older;
		const spare = best === newer ? older : newer;
		const united: Row = {
			...newer,
			...older,
			email: best.email ?? spare.email,
			userId: best.userId ?? spare.userId,
			plan: best.plan ?? spare.plan,
			claims: allClaims(claimsIn(older), claimsIn(newer)),
			formerIds: [...new Set([...(older.formerIds ?? []), newer.id, ...(newer.formerIds ?? [])])],
			credential: best.credential,
			// pi's own login keeps the source of the older account.
			source: best.linked ? older.source : best.source,
			...linkOf(best, spare),
			needsLogin: best.needsLogin,
		};
		draft.accounts = draft.accounts.flatMap((raw) => {
			if (isReadable(raw, older.id)) return [united];
			return isReadable(raw, newer.id) ? [] : [raw];
		});
		merged.push({ into: older.id, former: newer.id, spare });
		wanted = older.id;
	}
}

/** If both rows hold the same grant, the result is linked if either row is. */
function linkOf(best: Row, spare: Row): Pick<Row, "linked" | "linkedTo"> {
	const { linked, linkedTo } = !best.linked && isSameGrant(grantIn(best), grantIn(spare)) ? spare : best;
	return { linked, linkedTo };
}

function isOneWith(a: Row, b: Row): boolean {
	return isSameGrant(grantIn(a), grantIn(b)) || speakForOne(speakerOf(a), speakerOf(b));
}

interface Granted {
	readonly workspaceId: WorkspaceId;
	readonly credential: { readonly refresh: string };
}

function grantIn({ accountId, credential }: Row): Granted {
	return { workspaceId: accountId, credential };
}

/** True if two rows hold the same sign-in. */
function isSameGrant(a: Granted, b: Granted): boolean {
	return a.workspaceId === b.workspaceId && a.credential.refresh === b.credential.refresh;
}

/**
 * True if the sign-in of `a` is better. A working one beats one that does not work; otherwise the one issued later
 * wins.
 */
function isBetter(a: Row, b: Row): boolean {
	const [aWorks, bWorks] = [a, b].map((row) => !row.needsLogin && identityOf(row.credential.access) !== undefined);
	if (aWorks !== bWorks) return aWorks === true;
	return wasIssuedAfter(a.credential.access, b.credential.access);
}
