/** Calls `build` at first use. Otherwise every start of pi would pay for a schema that few sessions need. */
export function lazily<T>(build: () => T): () => T {
	let built: { readonly value: T } | undefined;
	return () => {
		built ??= { value: build() };
		return built.value;
	};
}
