"""The archive: signals in Parquet files of one hour each, written and read by DuckDB."""
