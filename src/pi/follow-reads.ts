/** Dependencies of {@link followReads}. */
interface FollowDeps<T> {
	readonly read: () => Promise<T>;
	/** Calls `listener` after each write of what is read, until the returned function is called. */
	readonly follow: (listener: () => void) => () => void;
	readonly onRead: (read: T) => void;
	readonly onFailure: (error: unknown) => void;
}

/** Reads what a screen shows, and reads it again after each write, one read at a time. Ends with `stop`. */
export function followReads<T>({ read, follow, onRead, onFailure }: FollowDeps<T>): { readonly stop: () => void } {
	let isReading = false;
	let isDue = false;
	let isOver = false;

	/** Only the newest result is passed on. */
	const readNewest = async (): Promise<T> => {
		isDue = false;
		const found = await read();
		return isDue && !isOver ? readNewest() : found;
	};
	const readAll = async () => {
		isReading = true;
		try {
			const found = await readNewest();
			if (!isOver) onRead(found);
		} catch (error) {
			onFailure(error);
		} finally {
			isReading = false;
		}
	};
	const look = () => {
		isDue = true;
		if (!isReading) void readAll();
	};
	const unfollow = follow(look);
	look();
	return {
		stop: () => {
			isOver = true;
			unfollow();
		},
	};
}
