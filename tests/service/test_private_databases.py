import psycopg
import pytest
def test_fresh(database_url):
    print(database_url)
    if database_url.startswith("postgres"):
        with psycopg.connect(database_url) as c:
            assert c.execute("select count(*) from pg_tables where schemaname='public'").fetchone() == (0,)
            c.execute("create table t(a int)")
@pytest.mark.parametrize("n", range(3))
def test_fresh2(n, postgres_url):
    test_fresh(postgres_url)
def test_node(node_clients): pass
