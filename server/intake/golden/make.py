"""Writes the Parquet files that the reader's tests read, as Hugging Face datasets are written. Made with pyarrow 25.0.1.

    python make.py
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent


def message(role, content):
    return {"role": role, "content": content}


conversational = pa.Table.from_pylist(
    [
        {
            "prompt": [message("user", f"Frage {n}: é ≤ 5 mm?")],
            "chosen": [message("assistant", f"good {n}")],
            "rejected": [message("assistant", f"bad {n}")],
            "score": 2**53 + n,
        }
        for n in range(1, 8)
    ]
)
pq.write_table(conversational, HERE / "conversational-snappy.parquet", compression="snappy", row_group_size=3)

flat = pa.table({"prompt": ["a", "b"], "chosen": ["x", None], "rejected": ["y", "z"]})
pq.write_table(flat, HERE / "flat-plain.parquet", compression="none")
pq.write_table(flat, HERE / "flat-zstd.parquet", compression="zstd")
