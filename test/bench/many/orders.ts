/** What parent and processes tell each other. */

export type Order =
	| { readonly do: "turns"; readonly side: "ours" | "plain"; readonly turns: number }
	| { readonly do: "leave" };

/** One request: ms to the first piece of text, and to the end. */
export interface Turn {
	readonly first: number;
	readonly total: number;
}

/** By the file that is locked: how often it was locked, and how often a lock was there already. */
export type Locks = Readonly<Record<string, { readonly taken: number; readonly refused: number }>>;

export type Reply =
	| { readonly did: "begin" }
	| { readonly did: "turns"; readonly turns: readonly Turn[]; readonly cpuMs: number; readonly locks: Locks }
	| { readonly did: "leave"; readonly locks: Locks }
	| { readonly did: "complain"; readonly text: string };
